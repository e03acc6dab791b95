"""Is what is worth telling about money noted once, with what brought it about?"""

import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from governance.alerts import SPIKE_FLOOR
from governance.budgets import BudgetRule
from governance.charges import Amounts, Charge
from governance.effects import Refused, Settlement
from governance.parts import PICO
from tests.drivers.store.passing import DAY, RULE, capped, of_rule
from tests.drivers.store.story import RUN, Story, settled, store_in, usd

ROOT = Path(__file__).parents[3]


async def told_of(told: Story) -> list[dict[str, Any]]:
    return [o.payload for o in await told.store.outbox() if "budget" in o.payload]


async def spend(told: Story, step: int, amount: int, *, now: int = 3500) -> None:
    first = await told.admit(step, of_rule(amount))
    await told.store.done(told.place(step), first.attempt, settled(of_rule(amount), now=now))


async def test_each_share_is_told_of_once_with_the_moment_and_the_figures(story: Story) -> None:
    await capped(story)
    for step, amount in enumerate((49, 1, 29, 1, 19, 1)):
        await spend(story, step, amount, now=4000 + step)
    told = await told_of(story)
    assert [(t["kind"], t["share"], t["at"], t["spent"]) for t in told] == [
        ("share", 50, 4001, 50), ("share", 80, 4003, 80), ("share", 100, 4005, 100),
    ]  # fmt: skip
    assert {(t["budget"], t["window"], t["cap"]) for t in told} == {(RULE, DAY, 100)}


async def test_a_jump_over_several_shares_is_told_as_the_highest(story: Story) -> None:
    await capped(story)
    await spend(story, 0, 90)
    assert [t["share"] for t in await told_of(story)] == [80]


async def test_what_is_only_held_is_no_news(story: Story) -> None:
    await capped(story)
    await story.admit(0, of_rule(100))
    assert await told_of(story) == []


async def test_what_becomes_unknown_counts_as_spent_and_its_settling_is_no_second_alert(
    story: Story,
) -> None:
    await capped(story)
    first = await story.admit(0, of_rule(60))
    await story.store.fail(
        story.place(0), first.attempt, status="unknown", error="lost", attributes={}, now=9
    )
    assert [(t["share"], t["unknown"], t["at"]) for t in await told_of(story)] == [(50, 60, 9)]
    await story.store.done(story.place(0), first.attempt, settled(of_rule(10)))
    await spend(story, 1, 45)
    assert [t["share"] for t in await told_of(story)] == [50]


async def test_a_budget_that_is_spent_is_told_of_once_however_many_are_refused(
    story: Story,
) -> None:
    await capped(story)
    await spend(story, 0, 45)
    for step in range(1, 4):
        await story.claim(now=4000 + step)
        refused = await story.store.intend(
            story.intent(step, of_rule(60), now=5000 + step, fence=story.fence)
        )
        assert isinstance(refused, Refused)
    (told,) = await told_of(story)
    assert (told["kind"], told["asked"], told["at"]) == ("refused", 60, 5001)
    assert told["key"] == story.place(1).key


async def test_a_refusal_because_of_holds_is_not_told_of(story: Story) -> None:
    await capped(story)
    await story.admit(0, of_rule(90))
    refused = await story.store.intend(story.intent(1, of_rule(60)))
    assert isinstance(refused, Refused)
    assert refused.wait is not None
    assert await told_of(story) == []


async def test_a_raised_cap_and_another_window_are_told_of_anew(story: Story) -> None:
    await capped(story)
    await spend(story, 0, 50)
    await story.store.put_cap(RULE, DAY, 200, by="noor", now=5)
    await spend(story, 1, 50)
    await story.store.put_cap(RULE, "2026-11-29", 100, by="noor", now=5)
    tomorrow = Charge(RULE, "2026-11-29", 50)
    first = await story.admit(2, tomorrow)
    await story.store.done(story.place(2), first.attempt, settled(tomorrow))
    told = await told_of(story)
    assert [(t["window"], t["cap"]) for t in told] == [(DAY, 100), (DAY, 200), ("2026-11-29", 100)]


async def call(told: Story, step: int, now: int, cost: int) -> None:
    most = Amounts(usd=cost, calls=1)
    got = await told.admit(step, kind="model", name="claude", now=now, most=most)
    paid = Settlement(now, {}, cost, "priced", {}, paid=most, head="sha256:after")
    await told.store.done(told.place(step), got.attempt, paid)


async def test_a_rule_says_at_which_shares_and_zones_its_own_window(story: Story) -> None:
    rule = BudgetRule(
        name="loop-day", usd=Decimal(1), per="day", timezone="Asia/Tokyo", each=("loop",),
        share=(Decimal("0.3"), Decimal("0.9")),
    )  # fmt: skip
    await story.store.put_rules((rule,), (), by="noor", now=1)
    tokyo_morning = 20 * 3_600_000
    for step, cost in enumerate((PICO // 4, PICO // 4, PICO // 4, PICO // 5)):
        await call(story, step, tokyo_morning + step, cost)
    told = await told_of(story)
    assert [(t["share"], t["window"], t["at"]) for t in told] == [
        (30, "1970-01-02", tokyo_morning + 1), (90, "1970-01-02", tokyo_morning + 3),
    ]  # fmt: skip


async def test_what_rolls_for_days_is_told_of_by_all_that_counts_and_what_rolls_quickly_never(
    story: Story,
) -> None:
    slow = BudgetRule(name="week", usd=Decimal(1), per="7d", share=(Decimal("0.5"),))
    quick = BudgetRule(name="minute", calls=2, per="60s")
    await story.store.put_rules((slow, quick), (), by="noor", now=1)
    day = 86_400_000
    for step in range(4):
        await call(story, step, step * day + 1, PICO // 5)
    (told,) = await told_of(story)
    assert (told["budget"], told["share"], told["spent"]) == (
        "rule:week/all:usd",
        50,
        3 * PICO // 5,
    )
    assert (told["window"], told["at"]) == ("7d from 1970-01-01 00:00 UTC", 2 * day + 1)


async def test_an_items_own_cap_is_no_alert_and_a_runs_is_one_before_its_end(story: Story) -> None:
    steps = Charge(f"item:{story.item}:steps", RUN, 5)
    first = await story.admit(0, steps, usd(80))
    await story.store.done(story.place(0), first.attempt, settled(steps, usd(80)))
    assert isinstance(await story.store.intend(story.intent(1, steps)), Refused)
    assert [(t["budget"], t["share"]) for t in await told_of(story)] == [("run:r1:usd", 80)]


async def runs_that_cost(told: Story, *costs: int) -> None:
    """Runs of the loop, closed but for the last, each with one paid call of its lead."""
    for nth, cost in enumerate(costs):
        run = f"x{nth}"
        await told.open_run(run, f"slot-{nth}", now=10_000 + nth)
        await pay(told, run, cost)
        if nth < len(costs) - 1:
            await told.find(run=run)


async def pay(told: Story, run: str, cost: int, step: int = 0) -> None:
    place = told.place(step)
    here = type(place)(run, run, 0, "lead", step, 0)
    first = await told.admit(step, place=here, fence=0)
    await told.store.done(here, first.attempt, settled(cost=cost, now=77))


async def spikes(told: Story) -> list[dict[str, Any]]:
    return [o.payload for o in await told.store.outbox() if o.payload.get("kind") == "spike"]


async def test_a_run_far_dearer_than_its_loops_past_is_told_of_once(story: Story) -> None:
    usual = PICO // 10
    await runs_that_cost(story, *([usual] * 5), 2 * usual)
    assert await spikes(story) == []
    await pay(story, "x5", usual, step=1)
    (told,) = await spikes(story)
    assert told == {
        "kind": "spike", "run": "x5", "loop": "triage", "cost": 3 * usual, "at": 77,
        "past": 5, "middle": usual, "dearest": usual,
    }  # fmt: skip
    await pay(story, "x5", 9 * usual, step=2)
    assert len(await spikes(story)) == 1


@pytest.mark.parametrize(
    ("past", "cost"),
    [
        ([PICO] * 4, 100 * PICO),
        ([SPIKE_FLOOR // 100] * 5, SPIKE_FLOOR - 1),
        ([PICO, PICO, PICO, PICO, 9 * PICO], 8 * PICO),
        ([0, 0, PICO, PICO, PICO, PICO], 50 * PICO),
    ],
    ids=["too little past", "cents", "as dear before", "runs that asked nobody"],
)
async def test_what_is_no_spike(story: Story, past: list[int], cost: int) -> None:
    await runs_that_cost(story, *past, cost)
    assert await spikes(story) == []


@pytest.mark.parametrize(
    ("killed_at", "there"),
    [("in-commit:6", False), ("after-done:1", True)],
    ids=["before", "after"],
)
async def test_a_process_killed_as_it_passes_a_share_leaves_both_or_neither_and_the_next_tells_once(
    tmp_path: Path, killed_at: str, there: bool
) -> None:
    killed = subprocess.run(
        [sys.executable, "-m", "tests.drivers.store.passing", str(tmp_path)], cwd=ROOT,
        capture_output=True, text=True, timeout=50, check=False,
        env={**os.environ, "LOOPRAIL_CRASH": killed_at},
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    told = Story(store_in(tmp_path))
    budget = await told.store.budget(RULE, DAY)
    assert budget is not None
    assert (budget.spent, len(await told_of(told))) == ((60, 1) if there else (0, 0))
    (item,) = await told.store.items()
    told.item = item.item
    await told.store.done(told.place(), 1, settled(of_rule(60)))
    assert [t["share"] for t in await told_of(told)] == [50]
    told.store.disconnect()
