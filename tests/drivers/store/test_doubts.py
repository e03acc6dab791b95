"""An effect may have happened: may it start again?"""

from dataclasses import replace

import pytest

from governance.charges import Amounts, Charge
from governance.effects import Admitted, InDoubt, Intent, Recorded, Refused
from governance.errors import StoreError
from governance.parts import digest
from tests.drivers.store.story import HEAD, TREE, Story, card_for, settled, usd


def _write(story: Story, **changes: object) -> Intent:
    return story.intent(0, name="github.create_issue", repeatable=False, **changes)


async def _lost(story: Story) -> InDoubt:
    assert isinstance(await story.store.intend(_write(story)), Admitted)
    await story.claim(now=3001)
    got = await story.store.intend(_write(story, now=3002))
    assert isinstance(got, InDoubt)
    return got


async def test_a_write_that_may_have_happened_is_put_before_a_person(story: Story) -> None:
    doubt = await _lost(story)
    card = await story.store.card(doubt.card)
    assert card is not None
    assert (card.kind, card.key, card.tool, card.arguments) == (
        "in_doubt", story.place(0).key, "github.create_issue", {"state": "open"},
    )  # fmt: skip
    assert card.why == (
        "'github.create_issue' may have happened already: try 1 was opened at 1970-01-01 00:00:03 UTC, "
        "could be sent until 1970-01-01 00:00:04 UTC, and ended as 'abandoned' without an answer on "
        "record. Look at the far side first."
    )
    (entry,) = await story.store.entries(story.item)
    assert entry.status == "doubt"
    item = await story.store.item(story.item)
    assert item is not None
    assert item.status == "waiting"
    notices = [o for o in await story.store.outbox() if o.kind == "notice"]
    assert [o.payload["kind"] for o in notices] == ["in_doubt"]


async def test_asking_again_before_the_answer_gives_the_same_card(story: Story) -> None:
    doubt = await _lost(story)
    assert await story.store.intend(_write(story, now=3003)) == doubt
    assert len(await story.store.cards()) == 1


async def test_no_answer_is_taken_while_the_effect_may_still_be_on_its_way(story: Story) -> None:
    doubt = await _lost(story)
    early = await story.store.answer(
        doubt.card, answer="not-happened", by="noor", reason="", now=4000
    )
    assert (early.answer, early.not_before) == (None, 4000)
    late = await story.store.answer(
        doubt.card, answer="not-happened", by="noor", reason="", now=4001
    )
    assert late.answer == "not-happened"


async def test_a_person_may_let_it_start_once_more_and_only_once(story: Story) -> None:
    doubt = await _lost(story)
    await story.store.answer(
        doubt.card, answer="not-happened", by="noor", reason="not there", now=5000
    )
    second = await story.store.intend(_write(story, now=6000))
    assert isinstance(second, Admitted)
    assert second.attempt == 2
    used = await story.store.card(doubt.card)
    assert used is not None
    assert used.used_by == story.place(0).key
    await story.store.fail(
        story.place(0),
        2,
        status="unknown",
        error="unknown",
        attributes={"error.message": "reset"},
        now=6100,
    )
    again = await story.store.intend(_write(story, now=6200))
    assert isinstance(again, InDoubt)
    assert again.card != doubt.card
    card = await story.store.card(again.card)
    assert card is not None
    assert "ended as 'unknown' (reset) without" in card.why


async def test_a_person_may_abandon_it(story: Story) -> None:
    doubt = await _lost(story)
    await story.store.answer(doubt.card, answer="abandon", by="noor", reason="who knows", now=5000)
    refused = await story.store.intend(_write(story, now=6000))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "in_doubt"
    assert refused.stop.detail == (
        "'github.create_issue' may have happened (try 1), and 'noor' abandoned it: who knows"
    )


async def test_a_late_answer_of_the_effect_itself_ends_the_doubt(story: Story) -> None:
    doubt = await _lost(story)
    await story.store.done(story.place(0), 1, settled(result={"issue": 7}))
    card = await story.store.card(doubt.card)
    assert card is not None
    assert (card.answer, card.answered_by, card.reason) == (
        "happened", "ledger", "try 1 did happen and has reported its result",
    )  # fmt: skip
    assert [o.key for o in await story.store.outbox() if o.kind == "resume"] == [doubt.card]
    got = await story.store.intend(_write(story, now=6000))
    assert not isinstance(got, InDoubt)
    (entry,) = await story.store.entries(story.item)
    assert (entry.status, entry.result) == ("done", {"issue": 7})


async def test_a_late_word_that_nothing_happened_ends_the_doubt_too(story: Story) -> None:
    doubt = await _lost(story)
    await story.store.fail(
        story.place(0), 1, status="failed", error="unavailable", attributes={}, now=3100
    )
    assert await story.store.cards() == ()
    assert isinstance(await story.store.intend(_write(story, now=6000)), Admitted)
    card = await story.store.card(doubt.card)
    assert card is not None
    assert (card.answered_by, card.reason) == ("ledger", "try 1 surely did not happen")


async def test_a_doubt_card_approves_no_call_of_a_tool(story: Story) -> None:
    doubt = await _lost(story)
    await story.store.answer(doubt.card, answer="not-happened", by="noor", reason="", now=5000)
    refused = await story.store.intend(_write(story, now=6000, card=doubt.card))
    assert isinstance(refused, Refused)
    assert "its kind is 'in_doubt', not 'approval'" in refused.stop.detail


async def test_an_approved_write_that_was_lost_needs_both_answers(story: Story) -> None:
    intent = replace(_write(story), tree=TREE)
    card = await story.store.ask(card_for(intent), notice={}, fence=story.fence)
    await story.store.answer(card.card, answer="approve", by="noor", reason="", now=5)
    assert isinstance(await story.store.intend(replace(intent, card=card.card)), Admitted)
    await story.claim(now=3001)
    intent = replace(_write(story, now=6000), tree=TREE, card=card.card)
    doubt = await story.store.intend(intent)
    assert isinstance(doubt, InDoubt)
    assert doubt.card != card.card
    await story.store.answer(doubt.card, answer="not-happened", by="noor", reason="", now=6001)
    assert isinstance(await story.store.intend(intent), Admitted)


async def test_what_a_person_says_has_happened_is_done_and_never_started_again(
    story: Story,
) -> None:
    doubt = await _lost(story)
    answered = await story.store.answer(
        doubt.card, answer="happened", by="noor", reason="it is there", now=5000, result='{"number": 7}'
    )  # fmt: skip
    assert answered.result is not None
    got = await story.store.intend(_write(story, now=6000))
    assert isinstance(got, Recorded)
    assert got.result == answered.result
    assert (got.result["is_error"], got.result["structured"]) == (False, {"number": 7})
    assert "'noor' vouches that it happened: it is there" in got.result["text"]
    assert (got.labels, got.head_after) == (("vouched", "untrusted"), HEAD)
    again = await story.store.intend(_write(story, now=7000, fence=99))
    assert again == got
    (entry,) = await story.store.entries(story.item)
    assert (entry.status, entry.attempts) == ("done", 1)
    assert entry.result == got.result
    used = await story.store.card(doubt.card)
    assert used is not None
    assert used.used_by == entry.key


async def test_a_vouched_try_costs_nothing_and_says_who_vouched(story: Story) -> None:
    doubt = await _lost(story)
    await story.store.answer(doubt.card, answer="happened", by="noor", reason="", now=5000)
    await story.store.intend(_write(story, now=6000))
    (row,) = await story.store.ledger(item=story.item)
    assert (row.status, row.cost, row.cost_status, row.error) == ("done", 0, "free", None)
    assert row.attributes["loop.vouched_by"] == "noor"
    assert row.attributes["loop.lost_as"] == "abandoned"


async def test_what_a_vouched_try_may_have_cost_stays_counted(story: Story) -> None:
    """A person can say that it happened, not what it came to."""
    charged: dict[str, object] = {"charges": (usd(40),), "most": Amounts(usd=40)}
    assert isinstance(await story.store.intend(_write(story, **charged)), Admitted)
    await story.claim(now=3001)
    doubt = await story.store.intend(_write(story, now=3002, **charged))
    assert isinstance(doubt, InDoubt)
    await story.store.answer(doubt.card, answer="happened", by="noor", reason="", now=5000)
    assert isinstance(await story.store.intend(_write(story, now=6000, **charged)), Recorded)
    (row,) = await story.store.ledger(item=story.item)
    assert (row.status, row.cost) == ("unknown", None)
    budget = await story.store.budget("run:r1:usd", "r1")
    assert budget is not None
    assert (budget.held, budget.unknown, budget.spent) == (0, 40, 0)
    assert Charge("run:r1:usd", "r1", 40) == usd(40)


async def test_a_result_of_any_size_is_kept(story: Story) -> None:
    doubt = await _lost(story)
    long = "x" * 20_000
    await story.store.answer(
        doubt.card, answer="happened", by="noor", reason="", now=5000, result=long
    )
    got = await story.store.intend(_write(story, now=6000))
    assert isinstance(got, Recorded)
    assert got.result["structured"] == {"result": long}


async def test_the_word_of_a_person_is_audited_with_what_they_gave(story: Story) -> None:
    doubt = await _lost(story)
    card = await story.store.answer(
        doubt.card, answer="happened", by="noor", reason="", now=5000, result="7"
    )
    (line,) = await story.store.audit()
    assert line["what"] == "card happened"
    assert line["detail"] == f"{digest(card.arguments)}, result {digest(card.result)}"


async def test_what_the_far_side_showed_counts_where_nobody_pasted_more(story: Story) -> None:
    doubt = await _lost(story)
    probe = {"tool": "github.list_issues", "found": [{"number": 9}]}
    await story.store.learned(doubt.card, {"probe": probe}, fence=story.fence)
    later = {"probe": {**probe, "found": []}}
    kept = await story.store.learned(doubt.card, later, fence=story.fence)
    assert kept.facts == {"probe": probe}, "the first word stays"
    card = await story.store.answer(doubt.card, answer="happened", by="noor", reason="", now=5000)
    assert card.result is not None
    assert card.result["structured"] == {"number": 9}
    assert "as github.list_issues shows it" in card.result["text"]


@pytest.mark.parametrize("answer", ["approve", "reject", "restart"])
async def test_a_doubt_takes_no_answer_to_another_question(story: Story, answer: str) -> None:
    doubt = await _lost(story)
    with pytest.raises(StoreError) as told:
        await story.store.answer(doubt.card, answer=answer, by="noor", reason="", now=5000)  # pyright: ignore[reportArgumentType]
    assert str(told.value) == (
        f"card {doubt.card!r} is in doubt: it takes no {answer!r}. Nothing was changed; answer it with "
        f"`loops resolve {doubt.card} happened|not-happened|abandon`."
    )
    assert len(await story.store.cards()) == 1
    assert await story.store.audit() == ()


async def test_an_approval_takes_no_word_about_what_happened(story: Story) -> None:
    card = await story.store.ask(card_for(story.intent(0)), notice={}, fence=story.fence)
    with pytest.raises(StoreError, match=f"loops approve {card.card}"):
        await story.store.answer(card.card, answer="happened", by="noor", reason="", now=5)


async def test_what_its_own_process_has_reported_is_no_more_on_its_way(story: Story) -> None:
    """Its connection ended before an answer came: nothing is left to wait for."""
    await story.admit(0, name="github.create_issue", repeatable=False)
    await story.store.fail(
        story.place(0), 1, status="unknown", error="unknown", attributes={}, now=3100
    )
    doubt = await story.store.intend(_write(story, now=3200))
    assert isinstance(doubt, InDoubt)
    at_once = await story.store.answer(
        doubt.card, answer="happened", by="noor", reason="", now=3300
    )
    assert at_once.answer == "happened"
