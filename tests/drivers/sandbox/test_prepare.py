"""Is an image made once, with the index reachable only then?"""

import asyncio
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from drivers.blobs import DirectoryBlobs
from drivers.sandbox import container
from drivers.sandbox.bwrap_volume import Volumes
from drivers.sandbox.cell import BUILT_BY
from drivers.sandbox.docker import DEFAULT_SOCKET, DockerSandbox
from drivers.sandbox.engine import Engine
from governance.errors import Rejected
from governance.ports import BoxSpec, FileEntry, Manifest, Sandbox
from tests.drivers.sandbox.conftest import IMAGE, sandbox_of

PROJECT = """
[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"
[project]
name = "sample"
version = "1"
dependencies = ["iniconfig"]
[tool.setuptools]
packages = ["sample"]
"""


async def seed_of(blobs: DirectoryBlobs) -> Manifest:
    return {
        "pyproject.toml": FileEntry("100644", await blobs.put(PROJECT.encode())),
        "sample/__init__.py": FileEntry("100644", await blobs.put(b"WHO = 'base'\n")),
    }


async def forget(sandbox: Sandbox, image: str) -> None:
    if isinstance(sandbox, DockerSandbox):
        engine = Engine(DEFAULT_SOCKET)
        await asyncio.to_thread(engine.client.images.remove, image)
        engine.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_dependencies_are_in_the_image_and_the_project_in_the_workspace(
    sandbox: Sandbox, blobs: DirectoryBlobs
) -> None:
    seed = await seed_of(blobs)
    image = await sandbox.prepare(IMAGE, "pip install -q -e .", seed, timeout_s=240)
    box = await sandbox.open(BoxSpec(image, {"test": "prepare"}, int(time.time()) + 300, max_mb=50))
    try:
        assert await box.save() == {}
        await box.load(seed)
        await box.write("sample/__init__.py", b"WHO = 'maker'\n")
        code = "import iniconfig, sample; print(sample.WHO)"
        result = await box.run(f"cd /; python3 -c '{code}'; pip download x", timeout_s=30)
    finally:
        await box.close()
    assert result.output.startswith("maker\n")
    assert "No matching distribution" in result.output


@pytest.mark.slow
async def test_the_same_setup_over_the_same_files_runs_once(
    sandbox: Sandbox, blobs: DirectoryBlobs
) -> None:
    seed = {"f": FileEntry("100644", await blobs.put(uuid.uuid4().bytes))}
    setup = "date +%s%N > /usr/local/made; cp f /usr/local/seed; sleep 1; rm -rf /tmp/*"
    one, other = await asyncio.gather(
        *(sandbox.prepare(IMAGE, setup, seed, timeout_s=60) for _ in range(2))
    )
    began = time.monotonic()
    again = await sandbox.prepare(IMAGE, setup, seed, timeout_s=60)
    assert one == other == again
    assert time.monotonic() - began < 1
    other = await sandbox.prepare(IMAGE, setup + " #", seed, timeout_s=60)
    assert other != one
    for image in (one, other):
        await forget(sandbox, image)


@pytest.mark.slow
async def test_a_failing_setup_is_rejected_with_the_end_of_its_output(sandbox: Sandbox) -> None:
    setup = "seq 1000; echo cannot find libfoo >&2; exit 3"
    with pytest.raises(Rejected) as caught:
        await sandbox.prepare(IMAGE, setup, {}, timeout_s=60)
    lines = str(caught.value).splitlines()
    assert "exit code 3" in lines[0]
    assert lines[1] == "962"
    assert lines[-1] == "cannot find libfoo"


@pytest.mark.slow
async def test_a_setup_that_hangs_is_rejected(sandbox: Sandbox) -> None:
    with pytest.raises(Rejected, match="ended by timeout"):
        await sandbox.prepare(IMAGE, "sleep 100", {}, timeout_s=1)


async def test_an_image_that_is_not_here_is_rejected_with_the_way_out(sandbox: Sandbox) -> None:
    with pytest.raises(Rejected, match="make image"):
        await sandbox.prepare("looprail/never:1", "true", {}, timeout_s=10)


async def test_a_build_whose_process_was_killed_can_be_ended_by_whom_it_was_for(
    kind: str, tmp_path: Path
) -> None:
    state = tmp_path / kind
    script = (
        "import asyncio\nfrom pathlib import Path\nfrom tests.drivers.sandbox.conftest import IMAGE, sandbox_of\n"
        f"sandbox = sandbox_of({kind!r}, Path({str(tmp_path)!r}))\n"
        f"asyncio.run(sandbox.prepare(IMAGE, 'sleep 600 # {uuid.uuid4().hex}', {{}}, timeout_s=600))\n"
    )
    sandbox = sandbox_of(kind, tmp_path)
    with subprocess.Popen((sys.executable, "-c", script)) as builder:
        while not _building(kind, state):
            assert builder.poll() is None
            await asyncio.sleep(0.2)
        builder.kill()
    assert len(await sandbox.end({BUILT_BY: str(state)})) == 1
    assert await sandbox.end({BUILT_BY: str(state)}) == ()
    sandbox.close()


def _building(kind: str, state: Path) -> bool:
    if kind == "bubblewrap":
        return any(record.holder for record in Volumes(state).all())
    engine = Engine(DEFAULT_SOCKET)
    found = container.boxes(engine, {BUILT_BY: str(state)})
    engine.close()
    return bool(found)


@pytest.mark.docker
async def test_a_prepared_image_belongs_to_nobody(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    sandbox, engine = DockerSandbox(blobs, tmp_path), Engine(DEFAULT_SOCKET)
    image = await sandbox.prepare(IMAGE, f"true # {uuid.uuid4().hex}", {}, timeout_s=60)
    labels = engine.client.images.get(image).labels
    await forget(sandbox, image)
    engine.close()
    sandbox.close()
    assert labels[BUILT_BY] == ""
