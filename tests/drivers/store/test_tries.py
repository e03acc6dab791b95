"""Which try of an effect is this, and what became of the one before?"""

from dataclasses import replace
from typing import Any

import pytest

from governance.effects import (
    NOT_BEFORE,
    Admitted,
    Early,
    Intent,
    Refused,
    Stop,
)
from governance.errors import StoreError
from governance.records import Budget
from tests.drivers.store.story import RUN, Story, settled, usd


async def test_a_failed_try_is_followed_by_the_next(story: Story) -> None:
    for attempt in (1, 2, 3):
        got = await story.admit(0, usd(40), repeatable=False)
        assert got.attempt == attempt
        await story.store.fail(
            story.place(0), attempt, status="failed", error="unavailable", attributes={}, now=9
        )
    rows = await story.store.ledger(item=story.item)
    assert [(r.status, r.cost) for r in rows] == [("failed", 0)] * 3
    budget = await story.store.budget("run:r1:usd", RUN)
    assert budget is not None
    assert budget.held == budget.spent == budget.unknown == 0


async def test_an_effect_under_way_is_not_started_beside_itself(story: Story) -> None:
    await story.admit(0)
    with pytest.raises(StoreError, match="is under way: try 1 was opened by this very process"):
        await story.store.intend(story.intent(0))


async def test_a_try_of_an_older_life_is_lost_and_a_read_is_made_again(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.claim(now=3001)
    second = await story.admit(0, usd(40))
    assert second.attempt == 2
    rows = await story.store.ledger(item=story.item)
    assert [(r.attempt, r.status, r.error) for r in rows] == [
        (1, "unknown", "abandoned"),
        (2, "open", None),
    ]
    assert await story.store.budget("run:r1:usd", RUN) == Budget(
        "run:r1:usd", RUN, 100, held=40, unknown=40
    )


async def test_a_try_past_its_lease_is_lost_even_under_the_same_fence(story: Story) -> None:
    await story.admit(0)
    second = await story.admit(0, now=3000 + 5001)
    assert second.attempt == 2


async def test_a_model_call_cut_off_may_be_paid_twice_and_both_are_on_the_ledger(
    story: Story,
) -> None:
    first = await story.admit(0, usd(40))
    await story.claim(now=3001)
    second = await story.admit(0, usd(40))
    await story.store.done(story.place(0), second.attempt, settled(usd(30), cost=30))
    late = await story.store.done(
        story.place(0), first.attempt, settled(usd(35), cost=35, result={"late": 1})
    )
    assert late.result == {"text": "fine"}
    rows = await story.store.ledger(item=story.item)
    assert [(r.status, r.cost) for r in rows] == [("late", 35), ("done", 30)]
    assert await story.store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 100, spent=65)


def _look(story: Story, step: int = 0, **changes: object) -> Intent:
    place = replace(story.place(step), owner=RUN)
    return story.intent(step, **{"place": place, "fence": 0, **changes})


async def test_a_heartbeat_acts_while_its_run_is_open(story: Story) -> None:
    assert isinstance(await story.store.intend(_look(story)), Admitted)
    await story.store.close(
        story.item,
        fence=1,
        status="done",
        outcome={},
        stop=None,
        state="#",
        seen=await story.seen(),
        now=9,
    )
    refused = await story.store.intend(_look(story, 1))
    assert refused == Refused(Stop("cancelled", "run 'r1' is already closed"))


async def test_a_replayed_heartbeat_makes_its_lost_reads_again_at_once(story: Story) -> None:
    await story.store.intend(_look(story))
    again = await story.store.intend(_look(story))
    assert isinstance(again, Admitted)
    assert again.attempt == 2


async def test_a_heartbeat_out_of_budget_stops_its_run_until_it_is_opened_again(
    story: Story,
) -> None:
    refused = await story.store.intend(_look(story, charges=(usd(1000),)))
    run = await story.store.run(RUN)
    assert isinstance(refused, Refused)
    assert run is not None
    assert run.stop == refused.stop
    assert await story.store.intend(_look(story)) == refused
    await story.open_run()
    assert isinstance(await story.store.intend(_look(story)), Admitted)


async def test_an_unknown_run_is_an_error(story: Story) -> None:
    place = replace(story.place(0), owner="r9", run="r9")
    with pytest.raises(StoreError, match="run 'r9' is not in the store"):
        await story.store.intend(story.intent(0, place=place))


@pytest.mark.parametrize("status", ["failed", "unknown"])
async def test_no_try_is_admitted_before_the_moment_the_far_side_named_not_even_a_later_lifes(
    story: Story, status: Any
) -> None:
    await story.admit(0, usd(40))
    await story.store.fail(
        story.place(0),
        1,
        status=status,
        error="unavailable",
        attributes={NOT_BEFORE: 9000},
        now=3100,
    )
    before = await story.store.ledger(item=story.item)
    await story.claim(now=3200)
    for now in (3200, 8999):
        assert await story.store.intend(story.intent(0, usd(40), now=now)) == Early(9000)
    budget = await story.store.budget("run:r1:usd", RUN)
    assert budget is not None
    assert (budget.held, budget.unknown) == (0, 40 if status == "unknown" else 0)
    assert await story.store.ledger(item=story.item) == before
    assert (await story.admit(1, now=8999)).attempt == 1, "another effect has no such moment"
    assert (await story.admit(0, usd(40), now=9000)).attempt == 2
