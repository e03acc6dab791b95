"""`loops budget` shows how caps stand, and raises one in a person's name, or says why not."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import pytest

from cli.raises import amount_of, end_of
from governance.charges import Charge
from governance.definition import Harness, Loop
from governance.effects import Refused, Stop
from governance.parts import PICO
from governance.pinned import Pinned
from governance.records import Budget
from tests.cli.filled import Filled, filled
from tests.drivers.store.story import LOOP, RUN, Story, finding, settled

NOW = time.time_ns() // 1_000_000
CAP = f"run:{RUN}:usd"
WHY = ("--why", "it is nearly there", "--as", "noor")


@pytest.fixture
def capped(tmp_path: Path) -> Iterator[Filled]:
    """A store whose one item was stopped by its run's cap of 10 USD, with 9 spent."""
    told = filled(tmp_path, _fill)
    yield told
    told.store.disconnect()


async def _fill(told: Filled) -> None:
    store, story = told.store, Story(told.store)
    loop = Loop(name=LOOP, model="m", instructions="a@v1", harness=Harness(max_minutes=15))
    pinned = Pinned(loop=loop, instructions={}, skills={}, models={}, image=None)
    digest = await store.pin("loop", LOOP, pinned.model_dump_json(), by="registry", now=NOW)
    await story.open_run(RUN, "06:00", Budget(CAP, RUN, 10 * PICO), now=NOW - 5000)
    (item,) = await store.found(
        RUN, (finding("test_total"),), definition=digest, budgets=(Budget("item:{item}:steps", RUN, 60),),
        state="# state", summary="1 found", now=NOW - 4000,
    )  # fmt: skip
    told.stopped = item.item
    await story.claim(item.item, now=NOW - 3000)
    nine = Charge(CAP, RUN, 9 * PICO)
    first = await story.admit(0, nine, now=NOW - 2000)
    await store.done(story.place(0), first.attempt, settled(nine, now=NOW - 1500))
    two = Charge(CAP, RUN, 2 * PICO)
    refused = await store.intend(story.intent(1, two, now=NOW - 1000))
    assert isinstance(refused, Refused)
    await close(story, refused.stop)


async def close(story: Story, stop: Stop) -> None:
    await story.store.close(
        story.item, fence=story.fence, status="stopped", outcome={}, stop=stop, state="# page",
        seen=await story.seen(), now=NOW - 500,
    )  # fmt: skip


def test_a_runs_budgets_are_listed_with_its_items_and_an_items_with_its_runs(capped: Filled):
    item = capped.stopped
    of_run = capped.json("budget", "list", RUN)
    assert [b["budget"] for b in of_run] == [f"item:{item}:minutes", f"item:{item}:steps", CAP]
    assert {b["budget"] for b in capped.json("budget", "list", item)} == {
        b["budget"] for b in of_run
    }
    assert capped.json("budget", "list") == of_run
    assert of_run[2] == {
        "budget": CAP, "window": RUN, "unit": "usd", "cap": "10", "spent": "9", "held": "0",
        "unknown": "0", "left": "1",
    }  # fmt: skip
    assert (of_run[0]["cap"], of_run[1]["cap"]) == (15.0, 60)
    text = capped.run("budget", "list", item).output
    assert text.splitlines()[0].split() == [
        "BUDGET", "WINDOW", "CAP", "SPENT", "HELD", "UNKNOWN", "LEFT",
    ]  # fmt: skip


def test_a_raise_is_shown_before_it_is_made_and_on_record_afterwards(capped: Filled):
    done = capped.run("budget", "raise", CAP, "--to", "25", *WHY, "--until", "12h", "--yes")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["before", CAP, RUN, "10", "9", "0", "0", "1"] in lines
    assert ["after", CAP, RUN, "25", "9", "0", "0", "16"] in lines
    assert f"Goes on: item {capped.stopped}, fix test_total" in done.output
    assert "(without it 10) by claimed: noor at" in done.output
    # Nobody listens where Prefect should be: it is on record, and the dispatch follows.
    assert "It is on record; housekeeping will have what had stopped or waited go on" in done.output
    shown = capped.json("budget", "show", CAP)
    (row,) = shown["raises"]
    assert (row["base"], row["cap"], row["by"], row["why"]) == (
        "10", "25", "claimed: noor", "it is nearly there",
    )  # fmt: skip
    ends = datetime.fromisoformat(row["until"]).timestamp()
    assert abs(ends - time.time() - 12 * 3600) < 60
    assert shown["stopped"] == []
    assert "Raised to 25 usd until" in capped.run("budget", "show", CAP).output


def test_as_json_it_says_what_was_what_is_and_what_goes_on(capped: Filled):
    before = capped.json("budget", "show", CAP)
    assert [i["item"] for i in before["stopped"]] == [capped.stopped]
    done = capped.run("budget", "raise", CAP, "--to", "25", *WHY, "--yes", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["before"]["left"], told["after"]["left"]) == ("1", "16")
    assert (told["resumed"], told["left"], told["dispatched"]) == ([capped.stopped], [], False)
    (listed,) = capped.json("inbox")
    assert (listed["item"], listed["status"], listed["stop"]) == (capped.stopped, "found", None)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((CAP, "--to", "10"), 1, "nothing was changed: 'run:r1:usd' is capped at 10 usd"),
        ((CAP, "--to", "ten"), 2, "--to takes a number of usd above 0"),
        ((CAP, "--to", "-1"), 2, "--to takes a number of usd above 0"),
        ((CAP, "--to", "20", "--until", "2020-01-01T00:00:00Z"), 2, "has passed"),
        ((CAP, "--to", "20", "--until", "tomorrow"), 2, "'tomorrow' is neither"),
        (("run:r9:usd", "--to", "20"), 1, "there is no budget 'run:r9:usd'."),
        ((CAP, "--to", "20", "--window", "r9"), 1, "in window 'r9'"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    capped: Filled, words: tuple[str, ...], code: int, told: str
):
    before = asyncio.run(capped.store.audit())
    done = capped.run("budget", "raise", *words, *WHY, "--yes")
    assert done.exit_code == code, done.output
    assert told in done.output
    assert asyncio.run(capped.store.audit()) == before


@pytest.mark.parametrize("why", ["", "  ", "x" * 2001, "hidden\u202etext"])
def test_a_reason_that_a_reader_could_not_see_is_refused(capped: Filled, why: str):
    assert capped.run("budget", "raise", CAP, "--to", "20", "--why", why, "--yes").exit_code == 2
    assert asyncio.run(capped.store.raises_of(CAP, RUN)) == ()


def test_amounts_are_whole_where_the_unit_is():
    assert (amount_of("1_500_000", "tokens"), amount_of("0.25", "usd")) == (1_500_000, PICO // 4)
    assert amount_of("1.5", "minutes") == 90_000
    for text in ("1.5", "0", "1e99", "NaN"):
        with pytest.raises(click.UsageError, match="a whole number of steps"):
            amount_of(text, "steps")


def test_a_moment_is_so_far_from_now_or_named_with_its_offset():
    assert end_of("90m", 0) == 90 * 60_000
    assert end_of("2026-12-01T01:00:00+01:00", 0) == end_of("2026-12-01T00:00:00Z", 0)
    with pytest.raises(click.UsageError):
        end_of("2026-12-01T00:00:00", 0)
