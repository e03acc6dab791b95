"""What waits for room in a budget is seen wherever people look, and a raise says whom it wakes."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.charges import Charge
from governance.records import Budget
from governance.waits import Wait
from tests.cli.filled import NOW, Filled, filled
from tests.drivers.store.story import RUN, Story, settled

DAY = "rule:money/all:calls"
OPENS = 1_780_351_200_000
SAID = f"waits for budget {DAY} until 2026-06-02 00:00 Europe/Berlin (for "


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Filled]:
    """A store whose one item waits for midnight."""
    told = filled(tmp_path, _fill)
    yield told
    told.store.disconnect()


async def _fill(told: Filled) -> None:
    store, story = told.store, Story(told.store)
    await story.open_run(RUN, "06:00", Budget(DAY, "2026-06-01", 2), now=NOW - 5000)
    (item,) = await story.find("test_total", now=NOW - 4000)
    await story.claim(item.item, now=NOW - 3000)
    spent = Charge(DAY, "2026-06-01", 2)
    first = await story.admit(0, spent, now=NOW - 2000)
    await store.done(story.place(0), first.attempt, settled(spent, now=NOW - 1500))
    wait = Wait(DAY, "2026-06-01", 1, OPENS, zone="Europe/Berlin")
    await store.posted(
        item.item, fence=story.fence, now=NOW - 330_000, waits=(wait,), wait_limit_ms=86_400_000
    )
    told.waiting = item.item


def test_inbox_top_and_budget_show_say_for_which_budget_and_until_when(full: Filled) -> None:
    assert f"{full.waiting} {SAID}" in full.run("inbox").output
    assert f"{full.waiting} {SAID}" in full.run("top").output
    assert f"Item {full.waiting} {SAID}" in full.run("budget", "show", DAY).output


def test_as_json_each_of_them_holds_every_fact(full: Filled) -> None:
    (item,) = full.json("inbox")
    (waiting,) = full.json("top", "--once")["waiting"]
    (shown,) = full.json("budget", "show", DAY)["waiting"]
    assert item["waits"] == waiting["waits"] == shown["waits"]
    assert item["waits"]["of"] == [
        {
            "budget": DAY, "window": "2026-06-01", "unit": "calls", "asked": 1,
            "opens": "2026-06-01T22:00:00.000+00:00", "held": False,
            "until": "until 2026-06-02 00:00 Europe/Berlin",
        }
    ]  # fmt: skip
    assert item["waits"]["since"] < item["waits"]["at_most_until"]
    assert full.json("trace", full.waiting)["waits"] == item["waits"]


def test_a_raise_says_whom_it_wakes(full: Filled) -> None:
    done = full.run("budget", "raise", DAY, "--to", "9", "--why", "go on", "--yes")
    assert done.exit_code == 0, done.output
    assert f"Waits for it: item {full.waiting}, fix test_total" in done.output
    # Nobody listens where Prefect should be.
    assert "housekeeping will have what had stopped or waited go on" in done.output
    (due,) = [o for o in asyncio.run(full.store.outbox()) if o.kind == "resume"]
    assert due.payload["item"] == full.waiting
