"""The far side bills more than anybody could have foreseen: what then?"""

from dataclasses import replace

import pytest

from governance.alerts import said
from governance.parts import usd
from tests.money.calls import draw
from tests.money.rounds import Round, Seen, Stage

pytestmark = pytest.mark.slow


async def _past_the_margin(on: Stage, seed: int) -> Seen:
    """Eight calls one after the other; the first answer is billed at far more than was held for it."""
    calls = tuple(replace(call, fates=("answered",)) for call in draw(seed, 8))
    told = Round(on, seed, calls, cap=3 * max(call.worst for call in calls))
    await on.say("POST", f"{told.run}/surcharge", 100_000)
    orders = await told.orders()
    one_after_the_other = [c for order in orders for callers in order["callers"] for c in callers]
    return await told.tell_on([{**orders[0], "callers": [one_after_the_other]}])


async def test_what_was_billed_past_the_margin_is_booked_in_full_and_nothing_more_is_let_in(
    on: Stage,
) -> None:
    seen = await _past_the_margin(on, 30_000)
    assert seen.counted == {"served": 1, "refused": 7}
    assert seen.end.spent == seen.bill > 10 * seen.cap
    (row,) = seen.rows
    assert row.cost == seen.bill > row.reserved


async def test_a_bill_past_the_margin_stops_the_principal_and_one_alert_names_the_overshoot(
    on: Stage,
) -> None:
    seen = await _past_the_margin(on, 30_001)
    (row,) = seen.rows
    budget = "run:r30001:usd"
    told = [o.payload for o in await on.store.outbox(limit=10**6) if o.kind == "notice"]
    (alert,) = [t for t in told if t.get("kind") == "overshoot" and t["budget"] == budget]
    over = (row.cost or 0) - row.reserved
    assert alert["paid"] - alert["held"] == over > 0
    words = said(alert)
    assert words is not None
    assert f"run r30001 is stopped: a call took {usd(over):,.4f} USD more" in words[0]
