"""What is a person asked, and what did they answer?"""

import asyncio

import pytest

from governance.effects import Evidence, Intent
from governance.errors import StoreError
from governance.parts import digest
from governance.records import Card
from tests.drivers.store.story import LOOP, RUN, TREE, Story, card_for


async def _ask(story: Story, intent: Intent | None = None, **changes: object) -> Card:
    card = card_for(intent or story.intent(0, tree=TREE), **changes)
    return await story.store.ask(
        card, notice={"kind": "card", "card": card.card}, fence=story.fence
    )


async def test_a_card_comes_back_as_it_was_asked(story: Story) -> None:
    intent = story.intent(0, tree=TREE)
    card = card_for(
        intent, evidence=(Evidence("verified", TREE, "passed", "v", "42"),), cost=7, deadline=9000
    )
    assert await story.store.ask(card, notice={}, fence=1) == card
    assert await story.store.card("c1") == card
    assert await story.store.cards(item=story.item) == (card,)
    item = await story.store.item(story.item)
    assert item is not None
    assert item.status == "waiting"


async def test_the_same_action_joins_the_open_card_and_tells_nobody_again(story: Story) -> None:
    first = await _ask(story, asked_at=10)
    again = await _ask(story, story.intent(5, tree=TREE), asked_at=20)
    assert first == again
    notices = [o for o in await story.store.outbox() if o.kind == "notice"]
    assert [(o.key, o.payload) for o in notices] == [("c1", {"kind": "card", "card": "c1"})]


async def test_an_answered_card_is_joined_until_it_is_used_and_its_item_goes_on(
    story: Story,
) -> None:
    await _ask(story)
    await story.store.answer("c1", answer="approve", by="noor", reason="", now=5)
    await story.claim(now=4000)
    joined = await _ask(story)
    assert joined.answer == "approve"
    item = await story.store.item(story.item)
    assert item is not None
    assert item.status == "working"


async def test_the_same_action_after_a_used_card_asks_afresh(story: Story) -> None:
    first = await _ask(story)
    await story.store.answer("c1", answer="approve", by="noor", reason="", now=5)
    await story.admit(0, tree=TREE, card=first.card)
    second = await _ask(story, story.intent(1, tree=TREE))
    assert second.card != first.card
    assert second.answer is None
    assert await _ask(story, story.intent(1, tree=TREE)) == second


async def test_only_the_current_process_asks(story: Story) -> None:
    intent = story.intent(0)
    await story.claim(now=4000)
    with pytest.raises(StoreError, match="was taken over"):
        await story.store.ask(card_for(intent), notice={}, fence=1)
    assert await story.store.cards() == ()


async def test_the_first_answer_wins_is_audited_and_wakes_the_item(story: Story) -> None:
    card = await _ask(story)
    answers = await asyncio.gather(
        *(
            story.store.answer("c1", answer=a, by=who, reason=who, now=77)
            for a, who in (("approve", "noor"), ("reject", "kim"), ("reject", "lee"))
        )
    )
    assert len({(a.answer, a.answered_by) for a in answers}) == 1
    assert (answers[0].answer, answers[0].answered_by, answers[0].reason, answers[0].answered_at) == (
        "approve", "noor", "noor", 77,
    )  # fmt: skip
    (line,) = await story.store.audit()
    assert line == {
        "seq": 1, "at": 77, "who": "noor", "what": "card approve", "subject": "c1",
        "detail": digest(card.arguments),
    }  # fmt: skip
    (resume,) = [o for o in await story.store.outbox() if o.kind == "resume"]
    assert (resume.key, resume.payload) == (
        "c1",
        {"card": "c1", "item": story.item, "run": RUN, "loop": LOOP},
    )
    assert await story.store.cards() == ()
    assert [c.card for c in await story.store.cards(open_only=False)] == ["c1"]


async def test_after_the_deadline_the_declared_answer_counts_whatever_is_said(story: Story) -> None:
    await _ask(story, deadline=5000, on_deadline="reject")
    late = await story.store.answer("c1", answer="approve", by="noor", reason="sorry", now=5001)
    assert (late.answer, late.answered_by) == ("reject", "deadline")


async def test_an_answer_at_the_deadline_is_in_time(story: Story) -> None:
    await _ask(story, deadline=5000, on_deadline="reject")
    got = await story.store.answer("c1", answer="approve", by="noor", reason="", now=5000)
    assert got.answer == "approve"


async def test_answering_an_unknown_card_is_an_error(story: Story) -> None:
    with pytest.raises(StoreError, match="card 'c9' is not in the store"):
        await story.store.answer("c9", answer="approve", by="noor", reason="", now=1)
    assert await story.store.card("c9") is None


async def test_a_card_knows_on_which_form_it_stood_last(story: Story) -> None:
    await _ask(story)
    await story.store.posted(story.item, fence=1, now=10)
    await story.store.posted(story.item, fence=1, now=11)
    card = await story.store.card("c1")
    assert card is not None
    assert card.posted_n == 2


async def test_nobody_is_asked_about_an_item_that_has_ended(story: Story) -> None:
    await _ask(story, deadline=5000)
    await story.store.close(
        story.item,
        fence=1,
        status="stopped",
        outcome={},
        stop=None,
        state="#",
        seen=await story.seen(),
        now=9,
    )
    assert await story.store.cards() == ()
    assert await story.store.sweep(9999) == ()
    card = await story.store.card("c1")
    assert card is not None
    assert card.answer is None


async def test_what_people_answered_is_told_apart_from_what_a_deadline_did(story: Story) -> None:
    await _ask(story, name="c1")
    await story.store.answer("c1", answer="approve", by="noor", reason="", now=5_000)
    await _ask(story, story.intent(3, args={"n": 3}, tree=TREE), name="c3", deadline=6_000)
    await story.store.answer("c3", answer="approve", by="ines", reason="", now=9_000)
    assert await story.store.answered() == (5_000,)
    assert await story.store.answered(loop=LOOP, since=5_000) == (5_000,)
    assert await story.store.answered(loop="other") == await story.store.answered(since=5_001) == ()
