"""Does the Docker engine's box keep what only it can lose?"""

import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from docker.errors import APIError
from requests import Response

from drivers.blobs import DirectoryBlobs
from drivers.sandbox.box import CellBox
from drivers.sandbox.docker import DEFAULT_SOCKET, DockerSandbox
from drivers.sandbox.engine import Engine
from governance.errors import DriverError, Rejected, Unavailable
from governance.ports import BoxSpec
from tests.drivers.sandbox.conftest import IMAGE

pytestmark = pytest.mark.docker


@pytest.fixture
async def docker_sandbox(blobs: DirectoryBlobs, state_dir: Path) -> AsyncIterator[DockerSandbox]:
    sandbox = DockerSandbox(blobs, state_dir)
    yield sandbox
    sandbox.close()


@pytest.fixture
async def docker_box(docker_sandbox: DockerSandbox) -> AsyncIterator[CellBox]:
    image = await docker_sandbox.prepare(IMAGE, "", {}, timeout_s=10)
    labels = {"test": uuid.uuid4().hex}
    box = await docker_sandbox.open(BoxSpec(image, labels, int(time.time()) + 300, max_mb=20))
    assert isinstance(box, CellBox)
    yield box
    await box.close()


@pytest.fixture
def engine() -> Engine:
    return Engine(DEFAULT_SOCKET)


@pytest.mark.slow
async def test_a_process_nobody_inside_can_kill_costs_a_restart_but_no_file(
    docker_box: CellBox, engine: Engine
) -> None:
    name = docker_box.cell.name
    await docker_box.write("kept.txt", b"kept")
    stubborn = engine.execute(name, ["/bin/sleep", "98765"], user=1001, env={})
    engine.client.api.exec_start(stubborn, detach=True)
    assert (await docker_box.run("echo ran", timeout_s=10)).output == "ran\n"
    assert engine.processes(name) == 2
    assert await docker_box.read("kept.txt", max_bytes=10) == b"kept"
    assert engine.client.containers.list(all=True, filters={"name": f"{name}-keeper"}) == []
    engine.close()


async def test_the_engine_is_told_every_limit(docker_box: CellBox, engine: Engine) -> None:
    known = engine.client.api.inspect_container(docker_box.cell.name)
    host = known["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["Privileged"] is False
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Memory"] == host["MemorySwap"] > 0
    assert (host["PidsLimit"], host["NanoCpus"]) == (256, 10**9)
    assert host["LogConfig"]["Type"] == "none"
    assert host["Binds"] is None
    assert [mount["Destination"] for mount in known["Mounts"]] == ["/workspace"]
    assert int(known["Config"]["Labels"]["looprail.lease_until"]) > time.time()
    engine.close()


async def test_closing_leaves_neither_container_nor_volume(
    docker_box: CellBox, engine: Engine
) -> None:
    name = docker_box.cell.name
    await docker_box.close()
    assert engine.client.containers.list(all=True, filters={"name": name}) == []
    assert engine.client.volumes.list(filters={"name": name}) == []
    engine.close()


async def test_a_box_whose_container_somebody_removed_is_unavailable_another_can_be_opened(
    docker_box: CellBox, engine: Engine
) -> None:
    engine.client.api.remove_container(docker_box.cell.name, force=True)
    with pytest.raises(Unavailable, match="is not on this engine"):
        await docker_box.run("true", timeout_s=5)
    engine.close()


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ('exec: "/sbin/docker-init": stat /sbin/docker-init: permission denied', Unavailable),
        ('exec: "/bin/sleep": stat /bin/sleep: no such file or directory', Rejected),
    ],
)
def test_an_engine_that_cannot_start_its_own_init_is_tried_again_and_an_image_without_programs_is_not(
    engine: Engine, said: str, kind: type[DriverError]
) -> None:
    answer = Response()
    answer.status_code = 400
    with pytest.raises(kind, match="the engine answered"), engine.speaking("image 'base'"):
        raise APIError("400", response=answer, explanation=f"OCI runtime create failed: {said}")
    engine.close()


async def test_a_volume_without_a_container_is_swept_too(
    docker_sandbox: DockerSandbox, engine: Engine
) -> None:
    name, now = f"looprail-{uuid.uuid4().hex[:16]}", int(time.time())
    labels = {"looprail.box": name, "looprail.lease_until": str(now - 5)}
    engine.client.volumes.create(name, labels=labels)
    foreign = engine.client.volumes.create(f"other-{name}", labels={"somebody": "else"})
    assert name in await docker_sandbox.sweep(now)
    assert engine.client.volumes.list(filters={"name": name}) == [foreign]
    foreign.remove()
    engine.close()


async def test_an_engine_that_does_not_answer_is_unavailable(
    blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    sandbox = DockerSandbox(blobs, tmp_path, socket_path=str(tmp_path / "nobody.sock"))
    with pytest.raises(Unavailable):
        await sandbox.sweep(0)
    sandbox.close()
