"""What has nobody come back for, and what must still be told?"""

import pytest

from governance.errors import StoreError
from governance.records import Budget
from tests.drivers.store.story import RUN, Story, card_for, settled, usd


async def test_a_try_nobody_came_back_for_is_unknown_and_stays_counted(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.admit(1, usd(10))
    await story.store.done(story.place(1), 1, settled(usd(1)))
    assert await story.store.sweep(8000) == ()
    assert await story.store.sweep(11_000) == (
        f"effect '{story.place(0).key}' try 1 is unknown: its lease ended 3 s ago",
    )
    assert await story.store.sweep(12_000) == ()
    assert await story.store.budget("run:r1:usd", RUN) == Budget(
        "run:r1:usd", RUN, 100, spent=1, unknown=40
    )
    rows = await story.store.ledger(after_seq=1)
    assert [(r.seq, r.status, r.cost, r.error) for r in rows] == [(2, "unknown", None, "abandoned")]


async def test_a_card_nobody_answered_gets_its_declared_answer(story: Story) -> None:
    intent = story.intent(0)
    await story.store.ask(card_for(intent, deadline=5000, on_deadline="reject"), notice={}, fence=1)
    assert await story.store.sweep(5000) == ()
    assert await story.store.sweep(5001) == (
        "card 'c1' for 'github.list_issues' counts as 'reject': nobody answered before its deadline",
    )
    assert await story.store.sweep(5002) == ()
    card = await story.store.card("c1")
    assert card is not None
    assert (card.answer, card.answered_by, card.answered_at) == ("reject", "deadline", 5001)
    assert [o.key for o in await story.store.outbox() if o.kind == "resume"] == ["c1"]
    assert (await story.store.audit())[0]["who"] == "deadline"


async def test_without_a_declared_answer_silence_means_no(story: Story) -> None:
    await story.store.ask(card_for(story.intent(0), deadline=5000), notice={}, fence=1)
    await story.store.sweep(6000)
    card = await story.store.card("c1")
    assert card is not None
    assert card.answer == "reject"


async def test_what_went_out_is_not_sent_again(story: Story) -> None:
    await story.open_run("r2", "07:00")
    await story.find("x", "y", run="r2")
    waiting = await story.store.outbox()
    assert len(waiting) == 3
    assert await story.store.outbox(limit=1) == waiting[:1]
    await story.store.sent("dispatch", waiting[1].key, now=50, flow_run="flow-x")
    assert await story.store.outbox() == (waiting[0], waiting[2])
    item = await story.store.item(waiting[1].payload["item"])
    assert item is not None
    assert item.flow_run == "flow-x"


async def test_reporting_something_as_sent_that_never_was_is_an_error(story: Story) -> None:
    with pytest.raises(StoreError, match="the outbox has no notice 'nothing'"):
        await story.store.sent("notice", "nothing", now=1)
