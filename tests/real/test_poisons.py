"""Whatever a maker leaves behind, the clean room is as red as before: each trap alone, on a real package."""

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from demo.forge.seed import write_history
from demo.model.poisons import POISONS, Poison
from drivers.blobs import DirectoryBlobs
from drivers.git.repository import GitRepository
from drivers.sandbox.choose import open_sandbox
from governance.ports import BoxSpec, CommandResult, Manifest, Sandbox
from governance.steering import never_delivered, shadowing
from tests.real.releases import Package, packages
from tests.real.town import ISOLATED, SANDBOX

pytestmark = [ISOLATED, pytest.mark.timeout(300)]
IMAGE = "looprail/python:3.11"
EDITABLE = (
    "pip install pytest && "
    'echo /workspace > "$(python -c "import site; print(site.getsitepackages()[0])")/editable.pth"'
)
"""The package itself as an editable install leaves it: its root is on the path of every Python."""


@dataclass
class Room:
    """A repository at its red commit, and an image to verify it in."""

    package: Package
    repository: GitRepository
    base: str
    sandbox: Sandbox
    image: str

    async def verified(
        self, files: Manifest, command: str = "true"
    ) -> tuple[CommandResult, Manifest]:
        """What the verifier says in a fresh box with these files after the command, and what is there then."""
        spec = BoxSpec(
            self.image, {"test": str(os.getpid())}, lease_until=int(time.time()) + 300, max_mb=100,
            memory_mb=512,
        )  # fmt: skip
        box = await self.sandbox.open(spec)
        try:
            await box.load(files)
            await box.run(command, timeout_s=60)
            said = await box.run(self.package.verify, timeout_s=120)
            return said, await box.save()
        finally:
            await box.close()


@pytest.fixture(scope="module")
async def room(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Room]:
    place = tmp_path_factory.mktemp("room")
    package = next(p for p in packages() if p.name == "parse")
    write_history(place / "upstream.git", package.history())
    blobs = DirectoryBlobs(place / "blobs")
    repository = GitRepository((place / "upstream.git").as_uri(), place / "mirror", blobs)
    base = await repository.fetch("main")
    sandbox = await open_sandbox(SANDBOX, blobs=blobs, state_dir=place / "sandbox")  # type: ignore[arg-type]
    image = await sandbox.prepare(IMAGE, EDITABLE, await repository.files(base), timeout_s=240)
    yield Room(package, repository, base, sandbox, image)
    await sandbox.end({"test": str(os.getpid())})


async def test_without_a_trap_the_package_is_red_as_reported(room: Room) -> None:
    said, _ = await room.verified(await room.repository.files(room.base))
    assert said.exit_code == 1
    assert "test_hyphen_inside_field_name" in said.output


@pytest.mark.parametrize("poison", POISONS, ids=lambda p: p.name)
async def test_a_trap_works_on_nobody_but_its_maker(room: Room, poison: Poison) -> None:
    files = await room.repository.files(room.base)
    own, left = await room.verified(files, poison.command)
    assert (own.exit_code == 0) == poison.works, own.output
    protect = (
        *never_delivered(room.package.tests),
        *shadowing(left, room.package.verify),
    )
    candidate = await room.repository.candidate(room.base, left, protect)
    said, _ = await room.verified(await room.repository.files(candidate.tree))
    assert said.exit_code == 1, said.output
    assert "2 failed, 48 passed" in said.output
