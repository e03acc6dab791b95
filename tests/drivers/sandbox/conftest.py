"""Boxes of every kind of isolation, so that one contract is tested on all of them."""

import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from drivers.blobs import DirectoryBlobs
from drivers.sandbox.bubblewrap import BubblewrapSandbox
from drivers.sandbox.docker import DockerSandbox
from drivers.sandbox.setup_env import host_bundle, passed_on
from governance.ports import Box, BoxSpec, Sandbox

IMAGE = "looprail/python:3.11"
KINDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]


def sandbox_of(kind: str, state_dir: Path) -> DockerSandbox | BubblewrapSandbox:
    blobs = DirectoryBlobs(state_dir / "blobs")
    make = {"docker": DockerSandbox, "bubblewrap": BubblewrapSandbox}[kind]
    return make(
        blobs,
        state_dir / kind,
        build_env=passed_on(os.environ),
        ca_bundle=host_bundle(os.environ),
    )


OpenBox = Callable[..., Awaitable[Box]]


@pytest.fixture(scope="session")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def blobs(state_dir: Path) -> DirectoryBlobs:
    return DirectoryBlobs(state_dir / "blobs")


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def sandbox(kind: str, state_dir: Path) -> Sandbox:
    return sandbox_of(kind, state_dir)


@pytest.fixture(scope="session")
async def image(sandbox: Sandbox) -> str:
    return await sandbox.prepare(IMAGE, "", {}, timeout_s=10)


@pytest.fixture
async def open_box(sandbox: Sandbox, image: str) -> AsyncIterator[OpenBox]:
    """Opens boxes that are closed after the test; limits as keyword arguments."""
    boxes: list[Box] = []

    async def opened(**limits: int | float) -> Box:
        asked = {"max_mb": 50, "memory_mb": 256, "pids": 64, **limits}
        spec = BoxSpec(
            image, {"test": uuid.uuid4().hex}, lease_until=int(time.time()) + 300, **asked
        )  # pyright: ignore[reportArgumentType]
        box = await sandbox.open(spec)
        boxes.append(box)
        return box

    yield opened
    for box in boxes:
        await box.close()


@pytest.fixture(scope="module")
async def box(sandbox: Sandbox, image: str) -> AsyncIterator[Box]:
    """One box that the tests of a module share; each leaves nothing behind that another minds."""
    spec = BoxSpec(
        image,
        {"test": uuid.uuid4().hex},
        lease_until=int(time.time()) + 600,
        max_mb=50,
        memory_mb=256,
        pids=64,
    )
    shared = await sandbox.open(spec)
    yield shared
    await shared.close()


@pytest.fixture(scope="session")
def host_secret() -> str:
    """A variable that is in the environment of the process that drives the boxes."""
    os.environ["LOOPRAIL_TEST_CANARY"] = "canary-" + uuid.uuid4().hex
    return os.environ["LOOPRAIL_TEST_CANARY"]
