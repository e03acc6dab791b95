"""Is there room in every budget?"""

import pytest

from governance.charges import Charge
from governance.effects import Admitted, Refused, Stop
from governance.errors import StoreError
from tests.drivers.store.story import RUN, Story, settled, usd


async def test_a_budget_without_room_refuses_and_stops_the_item(story: Story) -> None:
    first = await story.admit(0, usd(90))
    await story.store.done(story.place(0), first.attempt, settled(usd(90)))
    refused = await story.store.intend(story.intent(1, usd(11)))
    assert isinstance(refused, Refused)
    assert refused.wait is None
    assert refused.stop == Stop(
        "cost",
        "budget 'run:r1:usd' would reach 0.000000000101 of 0.0000000001 usd (0.00000000009 spent, 0 held, "
        "0 unknown, 0.000000000011 asked for). Raise it with `loops budget raise run:r1:usd`.",
    )
    item = await story.store.item(story.item)
    assert item is not None
    assert item.stop == refused.stop
    assert [e.key for e in await story.store.entries(story.item)] == [story.place(0).key]


async def test_a_cap_can_be_reached_exactly(story: Story) -> None:
    assert isinstance(await story.store.intend(story.intent(0, usd(100))), Admitted)


async def test_where_only_holds_stand_in_the_way_the_item_is_not_stopped(story: Story) -> None:
    first = await story.admit(0, usd(90))
    refused = await story.store.intend(story.intent(1, usd(11)))
    assert isinstance(refused, Refused)
    assert refused.wait is not None
    assert refused.stop.detail.endswith("Calls under way hold the rest.")
    item = await story.store.item(story.item)
    assert item is not None
    assert item.stop is None
    await story.store.done(story.place(0), first.attempt, settled(usd(5)))
    assert isinstance(await story.store.intend(story.intent(1, usd(11))), Admitted)


async def test_what_is_unknown_counts_like_spent(story: Story) -> None:
    first = await story.admit(0, usd(90))
    await story.store.fail(
        story.place(0), first.attempt, status="unknown", error="unknown", attributes={}, now=9
    )
    refused = await story.store.intend(story.intent(1, usd(11)))
    assert isinstance(refused, Refused)
    assert refused.wait is None


async def test_one_budget_without_room_leaves_nothing_held_in_the_others(story: Story) -> None:
    charges = (
        usd(10),
        Charge("run:r1:tokens", RUN, 51),
        Charge(f"item:{story.item}:steps", RUN, 1),
    )
    refused = await story.store.intend(story.intent(0, *charges))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "tokens"
    assert "would reach 51 of 50 tokens" in refused.stop.detail
    for name in ("run:r1:usd", f"item:{story.item}:steps"):
        budget = await story.store.budget(name, RUN)
        assert budget is not None
        assert (budget.held, budget.spent) == (0, 0)


async def test_a_budget_that_nobody_capped_is_not_charged(story: Story) -> None:
    await story.admit(0, Charge("team:platform:usd", "2026-11", 10**15))
    assert await story.store.budget("team:platform:usd", "2026-11") is None


async def test_raising_the_cap_and_claiming_again_lets_it_go_on(story: Story) -> None:
    assert isinstance(await story.store.intend(story.intent(0, usd(101))), Refused)
    await story.store.put_cap("run:r1:usd", RUN, 200, by="noor", now=5)
    assert isinstance(await story.store.intend(story.intent(0, usd(101))), Refused)
    await story.claim(now=4000)
    assert isinstance(await story.store.intend(story.intent(0, usd(101))), Admitted)


@pytest.mark.parametrize("charges", [(usd(-1),), (usd(1), usd(2))])
async def test_charges_that_make_no_sense_are_an_error(
    story: Story, charges: tuple[Charge, ...]
) -> None:
    with pytest.raises(StoreError, match="below 0 or for the second time"):
        await story.store.intend(story.intent(0, *charges))
    assert await story.store.entries(story.item) == ()
