"""Does the meter say what the ledger says, and without going over it?"""

import sqlite3
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, rule

from governance.budgets import BudgetRule
from governance.charges import Amounts
from governance.effects import CostStatus, Settlement
from governance.meter import RATE_MS, WHOSE, Figures
from governance.parts import DAY_MS
from governance.records import Budget
from tests.drivers.store.story import RUN, Story, settled, store_in, usd
from tests.drivers.store.test_laws import Money

MODEL = {"gen_ai.request.model": "claude"}
RULES = (
    BudgetRule(name="team-day", usd=Decimal(1), per="day", each=("team",)),
    BudgetRule(name="minute", calls=10, per="60s"),
    BudgetRule(name="each-run", tokens=1000, per="run"),
    BudgetRule(name="at-once", concurrent=5),
)


class Metered(Money):
    """The same story over days: what is unknown today is settled tomorrow."""

    @rule()
    def tomorrow(self) -> None:
        self.now += DAY_MS

    @invariant()
    def the_meter_is_the_ledger_added_up(self) -> None:
        if not self._budgets():
            return
        by_hand, kept = Counter[Any](), Counter[Any]()
        for row in self._all("SELECT * FROM ledger WHERE seq IS NOT NULL"):
            at = (row["started_at"] // DAY_MS, row["run"], row["agent"])
            by_hand[at, "tries"] += 1
            by_hand[at, "cost"] += row["cost"] or 0
            by_hand[at, "unknown"] += row["reserved"] if row["status"] == "unknown" else 0
        for row in self._all("SELECT * FROM meter"):
            for name in ("tries", "cost", "unknown"):
                kept[(row["day"], row["run"], row["agent"]), name] += row[name]
        assert {k: v for k, v in kept.items() if v} == {k: v for k, v in by_hand.items() if v}


Metered.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestTheMeterIsTheLedgerAddedUp = Metered.TestCase


async def test_a_reading_says_what_is_held_settled_unknown_and_left(story: Story) -> None:
    now = 3 * DAY_MS + 5000
    model: dict[str, Any] = {"attributes": MODEL, "name": "claude-sonnet-4-6"}
    for step, cost in ((0, 30), (1, 20), (2, 10)):
        got = await story.admit(step, usd(cost), most=Amounts(usd=cost), now=now, **model)
        if step == 0:
            paid = settled(usd(25), cost=25, now=now)
            await story.store.done(story.place(step), got.attempt, paid)
        if step == 1:
            await story.store.fail(
                story.place(step),
                got.attempt,
                status="unknown",
                error="lost",
                attributes={},
                now=now,
            )
    tool = await story.admit(3, now=now)
    await story.store.done(story.place(3), tool.attempt, settled(now=now))
    reading = await story.store.meter(now=now + 10)
    assert reading.total == Figures(
        settled=25, unknown=20, held=10, tries=3, under_way=1, per_minute=25
    )
    assert dict(reading.by("model")) == {
        "claude-sonnet-4-6": Figures(25, 20, 10, tries=2, under_way=1, per_minute=25),
        "": Figures(tries=1),
    }
    assert reading.open_runs == (RUN,)
    (tokens, money) = reading.budgets
    assert money == Budget("run:r1:usd", RUN, 100, held=10, spent=25, unknown=20)
    assert tokens.budget == "run:r1:tokens"


async def test_every_way_of_looking_at_it_adds_up_to_the_same(story: Story) -> None:
    for step in range(3):
        got = await story.admit(step, most=Amounts(usd=7))
        await story.store.done(story.place(step), got.attempt, settled(cost=5 + step))
    reading = await story.store.meter(now=4000)
    for whose in WHOSE:
        assert sum((f for _, f in reading.by(whose)), Figures()) == reading.total
    assert reading.total.settled == 18


async def test_yesterday_is_left_out_unless_it_is_asked_for_and_a_run_is_read_whole(
    story: Story,
) -> None:
    for step, now in ((0, 3000), (1, 3000 + DAY_MS)):
        got = await story.admit(step, now=now)
        await story.store.done(story.place(step), got.attempt, settled(cost=9, now=now))
    later = 4000 + DAY_MS
    assert (await story.store.meter(now=later)).total.settled == 9
    assert (await story.store.meter(days=2, now=later)).total.settled == 18
    whole = await story.store.run_meter(RUN, now=later)
    assert whole is not None
    assert (whole.total.settled, whole.since) == (18, 1000)
    assert await story.store.run_meter("r9", now=later) is None


async def test_a_call_over_midnight_counts_on_the_day_it_began_whatever_becomes_of_it(
    story: Story,
) -> None:
    """As a day's budget, `loops cost` and a bill count it."""
    for step in range(2):
        await story.admit(step, most=Amounts(usd=50), now=DAY_MS - 5)
        await story.store.fail(
            story.place(step), 1, status="unknown", error="e", attributes={}, now=DAY_MS + 5
        )  # fmt: skip
    await story.store.done(story.place(0), 1, settled(cost=9, now=2 * DAY_MS + 5))
    for days, figures in (
        (1, Figures()), (2, Figures()), (3, Figures(settled=9, unknown=50, tries=2)),
    ):  # fmt: skip
        assert (await story.store.meter(days=days, now=2 * DAY_MS + 9 * RATE_MS)).total == figures


@pytest.mark.parametrize("status", ["unpriced", "undeclared"])
async def test_a_try_without_a_price_is_counted_as_one_and_costs_nothing_we_know(
    story: Story, status: CostStatus
) -> None:
    await story.admit(0)
    ended = replace(settled(cost=None), cost_status=status)
    await story.store.done(story.place(0), 1, ended)
    assert (await story.store.meter(now=4000)).total == Figures(tries=1, unpriced=1)


async def test_a_store_of_before_has_its_past_metered_when_it_is_opened(tmp_path: Path) -> None:
    told = Story(store_in(tmp_path))
    await told.open_run()
    (item,) = await told.find("a")
    await told.claim(item.item)
    for step, reserved in ((0, 0), (1, 50)):
        got = await told.admit(
            step, kind="model", name="claude", most=Amounts(usd=reserved), attributes=MODEL
        )
        if step == 0:
            await told.store.done(told.place(step), got.attempt, settled(cost=40))
        else:
            await told.store.fail(
                told.place(step), got.attempt, status="unknown", error="e", attributes={}, now=3500
            )
    before = (await told.store.meter(now=4000)).by("model")
    told.store.disconnect()
    with sqlite3.connect(tmp_path / "store.db") as db:
        db.execute("DROP TABLE meter")
        db.execute("DROP INDEX runs_open")
        db.execute("DROP INDEX runs_loop")
        db.execute("ALTER TABLE runs DROP COLUMN spike_at")
        gone = "('0013-meter', '0016-meter-by-the-day-of-the-call')"
        db.execute(f"DELETE FROM migrations WHERE name IN {gone}")
    db.close()
    again = store_in(tmp_path)
    reading = await again.meter(now=4000)
    assert [name for name, _ in before] == ["claude"]
    assert reading.by("model") == before
    again.disconnect()


async def test_of_a_rule_the_windows_of_now_are_shown_and_what_rolls_is_added_up(
    story: Story,
) -> None:
    await story.store.put_rules(RULES, (), by="noor", now=1)
    model: dict[str, Any] = {"kind": "model", "name": "claude", "attributes": MODEL}
    first: dict[str, Budget] = {}
    for step, now in enumerate((1000, 30_000, 70_000, DAY_MS + 1000, DAY_MS + 20_000)):
        most = Amounts(usd=100, tokens=10, calls=1, concurrent=1)
        got = await story.admit(step, now=now, most=most, **model)
        if step < 4:
            paid = Settlement(
                now,
                {},
                40,
                "priced",
                {},
                paid=Amounts(usd=40, tokens=4, calls=1),
                head="sha256:after",
            )
            await story.store.done(story.place(step), got.attempt, paid)
        if step == 2:
            first = {b.budget: b for b in (await story.store.meter(now=80_000)).budgets}
    assert (first["rule:minute/all:calls"].window, first["rule:minute/all:calls"].spent) == (
        "last 60s",
        2,
    )
    later = {b.budget: b for b in (await story.store.meter(now=DAY_MS + 30_000)).budgets}
    day = later["rule:team-day/platform:usd"]
    assert (day.window, day.spent, day.held, day.cap) == ("1970-01-02", 40, 100, 10**12)
    minute = later["rule:minute/all:calls"]
    assert (minute.spent, minute.held) == (1, 1)
    assert (later["rule:each-run/all:tokens"].window, later["rule:each-run/all:tokens"].spent) == (
        RUN,
        16,
    )
    assert later["rule:at-once/all:concurrent"].held == 1
    assert set(later) - set(first) == set()
