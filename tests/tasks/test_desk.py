"""For how long does a box belong to its item?"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from governance.definition import Harness, Loop, Workspace
from governance.pinned import Pinned
from governance.ports import FileEntry
from governance.raises import MINUTE, Raised, Raising, minutes_of
from tasks.desk import box_spec
from tasks.job import Job
from tasks.world import now_ms
from tests.drivers.store.story import RUN, Story, store_in

LOOP = Loop(
    name="triage", model="m", instructions="a@v1", harness=Harness(max_minutes=15),
    workspace=Workspace(repository="northwind/api", image="python"),
)  # fmt: skip
PINNED = Pinned(loop=LOOP, instructions={}, skills={}, models={}, image="python:3.11")


class Ready:
    """A sandbox whose image is made."""

    async def prepare(self, image: str, *_: Any, **__: Any) -> str:
        return image


async def no_files(job: Job) -> dict[str, FileEntry]:
    return {}


async def lease_s(store: Any, item: str) -> float:
    async def sandbox() -> Ready:
        return Ready()

    world = SimpleNamespace(store=store, sandbox=sandbox)
    job = Job(cast(Any, world), PINNED, run=RUN, owner=item)
    spec = await box_spec(job, "maker")
    return spec.lease_until - now_ms() / 1000


async def test_it_is_its_own_as_long_as_the_item_may_be_awake_and_longer_when_that_was_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.desk.base_files", no_files)
    story = Story(store_in(tmp_path))
    await story.open_run()
    (item,) = await story.find("test_a")
    assert await lease_s(story.store, item.item) == pytest.approx(25 * 60, abs=5)
    wanted = Raising(
        minutes_of(item.item), RUN, seen=15 * MINUTE, to=60 * MINUTE, why="slow", by="noor"
    )
    assert isinstance(await story.store.raise_cap(wanted, now=now_ms()), Raised)
    assert await lease_s(story.store, item.item) == pytest.approx(70 * 60, abs=5)
    story.store.disconnect()
