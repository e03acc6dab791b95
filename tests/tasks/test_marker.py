"""Does an item keep the path it began on, whatever the code has become meanwhile? A small flow over the real store."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from drivers.store.store import SqlStore
from governance.conversation import EMPTY_HEAD
from governance.definition import Loop
from governance.effects import Admitted, Recorded, Settlement
from governance.pinned import Pinned
from governance.records import Claimed
from governance.seats import loop_principal
from tasks.job import Job
from tasks.marker import changed
from tasks.world import now_ms
from tests.drivers.store.story import Story, card_for, store_in

PINNED = Pinned(
    loop=Loop(name="triage", model="m", instructions="a@v1"),
    instructions={"a@v1": "Look."}, skills={}, models={}, image=None,
)  # fmt: skip


class _World:
    """Of a world, what these flows need: its store."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = store_in(tmp_path)
    yield opened
    opened.disconnect()


@pytest.fixture
async def story(store: SqlStore) -> Story:
    told = Story(store)
    await told.open_run()
    (item,) = await told.find("test_a")
    told.item = item.item
    return told


class Died(Exception):
    """The process is gone."""


class Life:
    """One life of the item; it dies before the effect that it is told."""

    def __init__(self, job: Job, dies_before: str = "") -> None:
        self.job, self.dies_before = job, dies_before
        self.made: list[str] = []
        self.replayed: list[str] = []

    async def effect(self, lane: str) -> None:
        """One effect at a place of its own: made once, replayed ever after."""
        if lane == self.dies_before:
            raise Died(lane)
        place, store = self.job.place(0, lane, 0, 0), self.job.world.store
        intent = self.job.intent(
            place, "sandbox", lane, by=loop_principal(PINNED.loop), rule="r", args={"lane": lane},
            repeatable=True, timeout_s=1,
        )  # fmt: skip
        got = await store.intend(intent)
        if isinstance(got, Recorded):
            self.replayed.append(lane)
            return
        assert isinstance(got, Admitted)
        self.made.append(lane)
        await store.done(place, got.attempt, Settlement(9, {"ok": lane}, 0, "free", {}))


async def as_it_was(life: Life) -> None:
    """The flow before the change: nobody looks at the base."""
    await life.effect("look")
    await life.effect("make")
    await life.effect("deliver")


async def as_it_is(life: Life) -> None:
    """The same, changed: the base is verified first, and what is made is checked."""
    await life.effect("look")
    if await changed(life.job, "verify-base-first"):
        await life.effect("base")
    await life.effect("make")
    await life.effect("deliver")


async def live(story: Story, flow: Any, dies_before: str = "") -> Life:
    claimed = await story.claim(now=now_ms())
    assert isinstance(claimed, Claimed)
    world = cast(Any, _World(story.store))
    job = Job(world, PINNED, run=claimed.item.run, owner=story.item, fence=story.fence, item=claimed.item)  # fmt: skip
    job.remember(claimed.journal)
    life = Life(job, dies_before)
    if dies_before:
        with pytest.raises(Died, match=dies_before):
            await flow(life)
    else:
        await flow(life)
    return life


async def markers(story: Story) -> list[bool]:
    entries = await story.store.entries(story.item)
    return [e.result["changed"] for e in entries if e.kind == "marker" and e.result]


async def test_an_item_that_begins_after_the_change_takes_the_new_path(story: Story) -> None:
    life = await live(story, as_it_is)
    assert life.made == ["look", "base", "make", "deliver"]
    assert await markers(story) == [True]


async def test_an_item_recorded_before_the_change_replays_as_it_was(story: Story) -> None:
    await live(story, as_it_was, dies_before="deliver")
    life = await live(story, as_it_is)
    assert (life.replayed, life.made) == (["look", "make"], ["deliver"])
    assert await markers(story) == [False]


async def test_an_item_that_had_not_come_so_far_takes_the_new_path(story: Story) -> None:
    await live(story, as_it_was, dies_before="make")
    life = await live(story, as_it_is)
    assert (life.replayed, life.made) == (["look"], ["base", "make", "deliver"])


async def test_an_effect_that_was_begun_and_not_finished_counts_as_come_so_far(
    story: Story,
) -> None:
    """What comes after the marker is on record as intended: the process died in the middle of it."""
    await live(story, as_it_was, dies_before="make")
    place = story.place(0, lane="make", round=0)
    intent = story.intent(0, now=now_ms(), place=place, kind="sandbox", name="make", args={"lane": "make"}, head=EMPTY_HEAD)  # fmt: skip
    assert isinstance(await story.store.intend(intent), Admitted)
    life = await live(story, as_it_is)
    assert (life.replayed, life.made) == (["look"], ["make", "deliver"])


@pytest.mark.parametrize("dies_before", ["base", "make", "deliver"])
async def test_what_was_decided_stays_decided_in_every_later_life(
    story: Story, dies_before: str
) -> None:
    first = await live(story, as_it_is, dies_before)
    second = await live(story, as_it_is)
    assert [*first.made, *second.made] == ["look", "base", "make", "deliver"]
    assert second.replayed == first.made
    assert await markers(story) == [True]
    for path in (first, second):
        assert await changed(path.job, "verify-base-first")


async def test_two_changes_are_two_markers(story: Story) -> None:
    async def changed_again(life: Life) -> None:
        await as_it_is(life)
        if await changed(life.job, "tell-people"):
            await life.effect("tell")

    await live(story, as_it_was, dies_before="deliver")
    life = await live(story, changed_again)
    assert life.made == ["deliver", "tell"]
    assert sorted(await markers(story)) == [False, True]


async def test_a_round_begun_anew_takes_the_new_path(story: Story) -> None:
    """What stands in a round that was given up is not ahead of it."""
    await live(story, as_it_was)
    await story.claim(now=now_ms())
    card = card_for(story.intent(0), "c9", kind="diverged")
    await story.store.ask(card, notice={}, fence=story.fence)
    await story.store.answer("c9", answer="restart", by="noor", reason="", now=50)
    await story.store.begin_anew(story.item, 0, card="c9", fence=story.fence, now=now_ms())
    life = await live(story, as_it_is)
    assert life.made == ["look", "base", "make", "deliver"]
