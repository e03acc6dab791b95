"""Killed at every point between admission and settling: what is held, what is billed, and what is known of it?"""

import asyncio
import signal
from dataclasses import replace

import pytest

from governance.records import Budget
from tests.money.callers import LEASE_MS
from tests.money.calls import draw
from tests.money.rounds import Round, Stage

pytestmark = pytest.mark.slow

POINTS = {
    # what a caller commits: claim, T4, T5
    "before-intend:1": (0, 0),
    "in-commit:2": (0, 0),
    "after-intend:1": (1, 0),
    "before-model-send:1": (1, 0),
    "after-model-reply:1": (1, 1),
    "before-done:1": (1, 1),
    "in-commit:3": (1, 1),
}
"""By point: how many worst cases are held by whoever was killed there, and how many answers were billed."""


async def _killed(on: Stage, order: dict[str, object]) -> None:
    pid = on.crowd.start(order)
    while (code := on.crowd.ended(pid)) is None:
        await asyncio.sleep(0.005)
    assert code == -signal.SIGKILL


@pytest.mark.parametrize("doom", POINTS)
async def test_no_hold_outlives_its_lease_and_the_bill_stays_within_settled_and_unknown(
    on: Stage, doom: str
) -> None:
    seed = 20_000 + list(POINTS).index(doom)
    call = replace(*draw(seed, 1), fates=("answered",))
    told = Round(on, seed, (call,), cap=3 * call.worst)
    order = (await told.orders())[0]
    holds, billed = POINTS[doom]
    await _killed(on, {**order, "doom": doom})

    held = Budget(f"run:{told.run}:usd", told.run, told.cap, held=holds * call.worst)
    assert await told.budget() == held
    assert (await on.bill(told.run))["pico"] == billed * call.paid
    rows = await on.store.ledger(run=told.run)
    assert [row.status for row in rows] == ["open"] * holds

    for row in rows:
        await on.store.sweep(row.started_at + LEASE_MS)
        assert await told.budget() == held, "its lease has not ended"
        await on.store.sweep(row.started_at + LEASE_MS + 1)
    doubted = replace(held, held=0, unknown=holds * call.worst)
    assert await told.budget() == doubted

    seen = await told.tell_on([order])
    assert seen.outcomes == {call.name: "served"}
    assert seen.end == replace(doubted, spent=call.paid)
    assert seen.bill == (1 + billed) * call.paid
    assert seen.end.spent <= seen.bill <= seen.end.spent + seen.end.unknown


async def test_killed_after_it_was_settled_nothing_is_asked_or_paid_again(on: Stage) -> None:
    call = replace(*draw(21_000, 1), fates=("answered",))
    told = Round(on, 21_000, (call,), cap=3 * call.worst)
    order = (await told.orders())[0]
    await _killed(on, {**order, "doom": "after-done:1"})
    seen = await told.tell_on([order])
    assert seen.outcomes == {call.name: "served"}
    assert (seen.end.spent, seen.end.unknown, seen.bill) == (call.paid, 0, call.paid)
