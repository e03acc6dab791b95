"""Which slot a firing stands for, over a real store; Prefect is not needed for that."""

import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

import tasks.slots
from drivers.blobs import DirectoryBlobs
from drivers.registry_files import read_registry
from drivers.store import open_store
from governance.effects import Stop
from governance.examination import load
from governance.records import RunRow
from tasks.slots import Firing, slot_of
from tasks.world import World
from tests.flows.clock import Clock, ms

ROOT = Path(__file__).parents[2]
TEN = 600_000
START = "2026-10-25T00:00:00+00:00"
"""In Berlin the clock is put back an hour later."""


class Loop:
    def __init__(self, world: World, clock: Clock) -> None:
        self.world, self.clock, self.count = world, clock, 0
        self.loop = world.registry.loops["night-fix"]

    async def fire(
        self, due: str | None, now: str, *, takes_ms: int = 5_000, **more: Any
    ) -> str | Stop:
        """One firing at its moment, which opens and ends its run when it is given a slot."""
        self.clock.at(now)
        self.count += 1
        firing = Firing(f"f{self.count}", ms(due) if due else None, **more)
        slot = await slot_of(self.world, self.loop, firing)
        if isinstance(slot, str):
            row = await self.world.store.open_run(
                f"r{self.count}", loop="night-fix", slot=slot, flow_run=firing.flow_run, definition="sha256:d",
                budgets=(), now=self.clock.now, lease=self.clock.now + TEN,
            )  # fmt: skip
            assert isinstance(row, RunRow)
            assert await slot_of(self.world, self.loop, firing) == slot
            ended = self.clock.now + takes_ms
            await self.world.store.end_run(f"r{self.count}", stop=Stop("steps", "s"), now=ended)
        return slot


@pytest.fixture
async def loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Loop]:
    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "registry", registry)
    file = registry / "loops" / "night-fix.yaml"
    told = yaml.safe_load(file.read_text())
    told["trigger"] = {"schedule": "*/10 * * * *", "timezone": "Europe/Berlin", **request.param}
    file.write_text(yaml.safe_dump(told))
    blobs = DirectoryBlobs(tmp_path / "blobs")
    store = open_store(f"sqlite://{tmp_path}/store.db", blobs)
    world = World(store, blobs, load(read_registry(registry), priced=bool), AsyncExitStack())
    assert tasks.slots.now_ms
    yield Loop(world, Clock(monkeypatch, START))
    store.disconnect()


def policy(**trigger: str) -> Any:
    return pytest.mark.parametrize("loop", [trigger], indirect=True)


@policy(missed="skip")
async def test_a_firing_in_time_runs_its_own_slot_and_once(loop: Loop):
    assert await loop.fire("2026-06-08T06:00Z", "2026-06-08T06:00:04Z") == "2026-06-08T06:00:00Z"
    again = await loop.fire("2026-06-08T06:00Z", "2026-06-08T06:00:40Z")
    assert isinstance(again, Stop)
    assert again.reason == "cancelled"
    assert "slot 2026-06-08T06:00:00Z is not due" in again.detail


@policy(missed="skip")
async def test_a_scheduler_whose_clock_is_ahead_of_ours_loses_no_slot(loop: Loop):
    assert await loop.fire("2026-06-08T06:00Z", "2026-06-08T05:59:58Z") == "2026-06-08T06:00:00Z"


@policy(missed="skip")
async def test_a_late_firing_runs_the_slot_that_is_now(loop: Loop):
    assert await loop.fire("2026-06-06T06:00Z", "2026-06-08T06:03Z") == "2026-06-08T06:00:00Z"
    for late in ("2026-06-06T06:10Z", "2026-06-08T06:00Z"):
        assert isinstance(await loop.fire(late, "2026-06-08T06:04Z"), Stop)


@policy(missed="all")
async def test_all_is_run_in_order_whatever_comes(loop: Loop):
    fired = [await loop.fire("2026-06-08T06:00Z", "2026-06-08T06:00:01Z")]
    # The other firings come in a heap, the newest first.
    for due in ("06:30", "06:10", "06:20", "06:30"):
        fired.append(await loop.fire(f"2026-06-08T{due}Z", "2026-06-08T06:31Z"))
    assert fired[:4] == [f"2026-06-08T06:{m}0:00Z" for m in range(4)]
    assert isinstance(fired[4], Stop)


@policy(missed="all")
async def test_what_came_while_a_heartbeat_was_long_under_way_was_skipped(loop: Loop):
    long = await loop.fire("2026-06-08T06:00Z", "2026-06-08T06:00:01Z", takes_ms=25 * 60_000)
    assert long == "2026-06-08T06:00:00Z"
    assert await loop.fire("2026-06-08T06:10Z", "2026-06-08T06:31Z") == "2026-06-08T06:30:00Z"


@policy(missed="skip")
async def test_a_slot_that_waited_for_a_heartbeat_to_end_is_left_out_and_a_delivery_is_not(
    loop: Loop,
):
    await loop.fire("2026-06-08T06:00Z", "2026-06-08T06:00:01Z", takes_ms=12 * 60_000)
    late = "2026-06-08T06:12:30Z"
    assert isinstance(await loop.fire("2026-06-08T06:10Z", late), Stop)
    assert await loop.fire(None, late, delivery="build-4711") == "delivery-build-4711"
    assert await loop.fire("2026-06-08T06:20Z", "2026-06-08T06:20:01Z") == "2026-06-08T06:20:00Z"


@policy(missed="all", overlap="enqueue")
async def test_or_waits_for_its_turn_when_the_loop_says_so(loop: Loop):
    await loop.fire("2026-06-08T06:00Z", "2026-06-08T06:00:01Z", takes_ms=25 * 60_000)
    got = [await loop.fire(f"2026-06-08T06:{m}Z", "2026-06-08T06:31Z") for m in (10, 20, 30)]
    assert got == [f"2026-06-08T06:{m}:00Z" for m in (10, 20, 30)]


@policy(missed="all")
async def test_the_hour_that_comes_twice_is_run_once(loop: Loop):
    """02:00 to 03:00 in Berlin comes twice on this day; Prefect may fire in either."""
    fired = [
        await loop.fire(f"2026-10-25T{h:02}:{m:02}:00Z", f"2026-10-25T{h:02}:{m:02}:03Z")
        for h in range(3) for m in range(0, 60, 10)
    ]  # fmt: skip
    run = [f for f in fired if isinstance(f, str)]
    first, last = (
        [f"2026-10-25T00:{m:02}:00Z" for m in range(0, 60, 10)],
        [f"2026-10-25T02:{m:02}:00Z" for m in range(0, 60, 10)],
    )
    assert run == [*first, *last]


@policy(schedule="30 2 * * *", missed="skip")
async def test_the_hour_that_does_not_exist_is_run_once(loop: Loop):
    assert await loop.fire("2026-03-29T00:30Z", "2026-03-29T00:30:03Z") == "2026-03-29T00:30:00Z"
    # A scheduler that reads the hour the other way fires an hour later: nothing more is due.
    assert isinstance(await loop.fire("2026-03-29T01:30Z", "2026-03-29T01:30:03Z"), Stop)
    assert await loop.fire("2026-03-30T00:30Z", "2026-03-30T00:30:03Z") == "2026-03-30T00:30:00Z"


@policy(missed="all")
async def test_more_than_a_hundred_missed_slots_are_let_go_on_record(loop: Loop):
    await loop.fire("2026-06-05T20:00Z", "2026-06-05T20:00:01Z")
    assert await loop.fire("2026-06-05T20:10Z", "2026-06-08T06:03Z") == "2026-06-07T13:30:00Z"
    let_go = [a for a in await loop.world.store.audit() if a["what"] == "slots let go"]
    assert len(let_go) == 1


@policy(missed="once")
async def test_a_named_slot_is_that_moment_however_it_is_spelled_and_a_delivery_its_own(loop: Loop):
    now = "2026-06-08T06:03Z"
    assert await loop.fire(None, now, slot="2020-01-01T08:00+02:00") == "2020-01-01T06:00:00Z"
    assert await loop.fire(None, now, delivery="evt:1") == "delivery-evt:1"
    assert await loop.fire(None, now) == f"by-hand-f{loop.count}"
    for wrong in (
        {"slot": "soon"},
        {"delivery": ""},
        {"delivery": "a\nb"},
        {"slot": "2026-06-08T06:00"},
    ):
        refused = await loop.fire(None, now, **wrong)
        assert isinstance(refused, Stop)
        assert refused.reason == "denied"
