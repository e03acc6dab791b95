"""Is the choice of isolation made in seconds, and never for none?"""

import time
from pathlib import Path

import pytest

from drivers.blobs import DirectoryBlobs
from drivers.sandbox.bubblewrap import BubblewrapSandbox
from drivers.sandbox.choose import open_sandbox
from drivers.sandbox.docker import DockerSandbox
from governance.errors import Rejected
from governance.ports import BoxSpec


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.docker
async def test_docker_is_taken_where_an_engine_answers(
    blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    sandbox = await open_sandbox("auto", blobs=blobs, state_dir=tmp_path)
    assert isinstance(sandbox, DockerSandbox)
    assert await sandbox.sweep(0) == ()


@pytest.mark.bwrap
@pytest.mark.usefixtures("no_engine")
async def test_bubblewrap_is_taken_where_none_does(blobs: DirectoryBlobs, tmp_path: Path) -> None:
    sandbox = await open_sandbox("auto", blobs=blobs, state_dir=tmp_path)
    assert isinstance(sandbox, BubblewrapSandbox)
    with pytest.raises(Rejected, match="engine"):
        await open_sandbox("docker", blobs=blobs, state_dir=tmp_path)


@pytest.mark.usefixtures("no_engine", "no_tools")
async def test_nothing_to_isolate_with_is_refused_in_seconds_with_the_install_line(
    blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(Rejected, match="apt-get install"):
        await open_sandbox("auto", blobs=blobs, state_dir=tmp_path)
    assert time.monotonic() - began < 5


async def test_an_engine_elsewhere_is_refused(
    blobs: DirectoryBlobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    with pytest.raises(Rejected, match="Unix socket"):
        await open_sandbox("docker", blobs=blobs, state_dir=tmp_path)


async def test_a_directory_nobody_prepared_is_no_image(
    blobs: DirectoryBlobs, tmp_path: Path
) -> None:
    sandbox = BubblewrapSandbox(blobs, tmp_path)
    for image in ("/", "/usr", str(tmp_path / "prepared" / ".." / "..")):
        with pytest.raises(Rejected, match="Prepare it first"):
            await sandbox.open(BoxSpec(image, {}, 0))
    sandbox.close()
