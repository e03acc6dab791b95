"""May this effect start now?"""

from dataclasses import replace

import pytest

from governance.charges import Amounts, Charge
from governance.effects import Admitted, Recorded, Refused, Stop
from governance.errors import Diverged, StoreError
from governance.records import Budget
from tests.drivers.store.story import HEAD, LEAD, RUN, Story, settled, usd


async def test_an_admitted_effect_is_an_open_row_with_its_holds(story: Story) -> None:
    charges = (usd(40), Charge("run:r1:tokens", RUN, 30))
    got = await story.admit(0, *charges, most=Amounts(usd=40), attributes={"a": 1})
    assert got.attempt == 1
    assert await story.store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 100, held=40)
    (row,) = await story.store.ledger(item=story.item)
    assert (row.seq, row.status, row.cost, row.cost_status, row.reserved) == (
        0,
        "open",
        None,
        "open",
        40,
    )
    assert (row.principal, row.place, row.kind) == (LEAD, story.place(0), "tool")
    assert (row.attributes, row.span) == ({"a": 1}, got.span)
    assert [len(x) for x in (row.span, row.parent_span, row.trace)] == [16, 16, 32]


async def test_spans_of_one_conversation_share_a_parent_and_those_of_a_run_a_trace(
    story: Story,
) -> None:
    for step in (0, 1):
        await story.admit(step)
    await story.admit(0, place=story.place(0, lane="maker"))
    rows = await story.store.ledger(run=RUN)
    assert len({r.span for r in rows}) == 3
    assert len({r.trace for r in rows}) == 1
    assert len({r.parent_span for r in rows}) == 2


async def test_a_done_effect_is_answered_from_the_journal(story: Story) -> None:
    first = await story.admit(0, usd(40))
    await story.store.done(
        story.place(0), first.attempt, settled(usd(10), result={"n": 1}, labels=("untrusted",))
    )
    again = await story.store.intend(story.intent(0, usd(40)))
    assert again == Recorded(
        result={"n": 1},
        labels=("untrusted",),
        tree=None,
        head=HEAD,
        args={"state": "open"},
        kind="tool",
        head_after="sha256:after",
    )
    assert len(await story.store.ledger(item=story.item)) == 1


async def test_nothing_is_judged_while_replaying(story: Story) -> None:
    first = await story.admit(0)
    await story.store.done(story.place(0), first.attempt, settled())
    await story.store.stop(story.item, Stop("cancelled", "stop button"), now=1)
    assert isinstance(
        await story.store.intend(story.intent(0, fence=99, needs=("verified",))), Recorded
    )


@pytest.mark.parametrize("was_done", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "model"},
        {"name": "github.delete_issue"},
        {"args": {"state": "closed"}},
        {"head": "sha256:" + "b" * 64},
    ],
)
async def test_another_effect_under_a_known_key_has_diverged(
    story: Story, changes: dict[str, object], was_done: bool
) -> None:
    first = await story.admit(0)
    if was_done:
        await story.store.done(story.place(0), first.attempt, settled())
    with pytest.raises(Diverged) as told:
        await story.store.intend(story.intent(0, **changes))
    assert told.value.key == story.place(0).key
    assert told.value.recorded != told.value.asked


async def test_another_model_at_the_same_place_has_not_diverged(story: Story) -> None:
    model = {"kind": "model", "args": {}}
    first = await story.admit(0, name="sonnet", **model)
    await story.store.fail(
        story.place(0), first.attempt, status="failed", error="unavailable", attributes={}, now=9
    )
    second = await story.admit(0, name="opus", **model)
    assert second.attempt == 2
    assert [r.name for r in await story.store.ledger(item=story.item)] == ["sonnet", "opus"]


async def test_an_older_process_starts_nothing(story: Story) -> None:
    await story.claim(now=4000)
    refused = await story.store.intend(story.intent(0, fence=1))
    assert refused == Refused(
        Stop(
            "cancelled",
            f"another process took over item '{story.item}': fence 1 was followed by 2; this one must end",
        )
    )
    assert await story.store.entries(story.item) == ()


async def test_a_stopped_item_starts_nothing_and_says_why(story: Story) -> None:
    await story.store.stop(story.item, Stop("cancelled", "stop button"), now=1)
    assert await story.store.intend(story.intent(0)) == Refused(Stop("cancelled", "stop button"))


async def test_an_ended_item_starts_nothing(story: Story) -> None:
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
    refused = await story.store.intend(story.intent(0))
    assert refused == Refused(Stop("cancelled", f"item '{story.item}' is already done"))


async def test_an_effect_of_an_unknown_item_is_an_error(story: Story) -> None:
    place = replace(story.place(0), owner="i000000000000")
    with pytest.raises(StoreError, match="item 'i000000000000' is not in the store"):
        await story.store.intend(story.intent(0, place=place))


async def test_awake_time_is_judged_where_an_effect_starts(story: Story) -> None:
    limit = 60_000
    assert isinstance(
        await story.store.intend(story.intent(0, now=62_000, awake_limit_ms=limit)), Admitted
    )
    refused = await story.store.intend(story.intent(1, now=62_001, awake_limit_ms=limit))
    assert isinstance(refused, Refused)
    assert refused.stop == Stop(
        "minutes",
        f"item '{story.item}' was awake for 1.0 of 1.0 minutes. Raise it with `loops budget raise "
        f"item:{story.item}:minutes`; for later items raise harness.max_minutes.",
    )
    item = await story.store.item(story.item)
    assert item is not None
    assert item.stop == refused.stop
