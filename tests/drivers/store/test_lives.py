"""Which process lived when, and which rounds were begun anew?"""

from typing import Any

import pytest

from governance.effects import InDoubt, Refused
from governance.errors import StoreError
from governance.records import Claimed
from tests.drivers.store.story import Story, card_for, settled


async def _claimed(story: Story, process: dict[str, Any], now: int) -> Claimed:
    got = await story.store.claim(
        story.item, flow_run="flow-1", now=now, lease=now + 60_000, max_lives=10, process=process
    )
    assert isinstance(got, Claimed)
    story.fence = got.item.fence
    return got


async def test_a_try_is_traced_to_the_process_that_opened_it(story: Story) -> None:
    await story.admit(0)
    assert await story.store.process_of(story.place(0).key) is None, (
        "of the time before it was noted"
    )
    for pid in (7, 8):
        await _claimed(story, {"pid": pid}, 4000 + pid)
        await story.admit(pid)
    assert await story.store.process_of(story.place(7).key) == {"pid": 7}
    assert await story.store.process_of(story.place(8).key) == {"pid": 8}
    await story.admit(7, now=9000)
    assert await story.store.process_of(story.place(7).key) == {"pid": 8}, "the newest try"


async def _diverged(story: Story, answer: str | None = "restart") -> str:
    """A card about a round that cannot go on, answered."""
    card = card_for(
        story.intent(0, place=story.place(0, round=2)), "c9", kind="diverged", tree=None
    )
    await story.store.ask(card, notice={}, fence=story.fence)
    if answer:
        await story.store.answer("c9", answer=answer, by="noor", reason="", now=50)  # pyright: ignore[reportArgumentType]
    return "c9"


async def _begun(story: Story) -> None:
    for round in (1, 2):
        place = story.place(0, round=round)
        got = await story.admit(place=place)
        await story.store.done(place, got.attempt, settled())


async def test_a_round_that_is_begun_anew_goes_by_a_number_never_used(story: Story) -> None:
    await _begun(story)
    card = await _diverged(story)
    got = await story.store.begin_anew(story.item, 2, card=card, fence=story.fence, now=60)
    assert isinstance(got, Claimed)
    assert got.item.restarts == ((2, 1),), "round 2 goes by 3"
    assert len(got.journal) == 2, "what is given up stays on record"
    again = await story.store.begin_anew(story.item, 2, card=card, fence=story.fence, now=61)
    assert isinstance(again, Claimed)
    assert again.item.restarts == ((2, 1),), "one answer, one restart"
    assert [line["what"] for line in await story.store.audit()] == [
        "round restarted", "card restart",
    ]  # fmt: skip
    claimed = await story.claim(now=60_000)
    assert claimed.item.restarts == ((2, 1),)


@pytest.mark.parametrize("answer", [None, "abandon"])
async def test_no_round_begins_anew_without_a_persons_word(
    story: Story, answer: str | None
) -> None:
    await _begun(story)
    card = await _diverged(story, answer)
    with pytest.raises(StoreError, match=f"its answer is {answer!r}"):
        await story.store.begin_anew(story.item, 2, card=card, fence=story.fence, now=60)
    with pytest.raises(StoreError, match="there is no such card"):
        await story.store.begin_anew(story.item, 2, card="c0", fence=story.fence, now=60)


async def test_an_older_process_restarts_nothing(story: Story) -> None:
    card = await _diverged(story)
    await story.claim(now=4000)
    with pytest.raises(StoreError, match="was taken over"):
        await story.store.begin_anew(story.item, 2, card=card, fence=1, now=60)


async def test_what_was_proposed_in_a_round_that_is_given_up_asks_nobody_and_permits_nothing(
    story: Story,
) -> None:
    """The same action proposed in the new round asks afresh, whatever had been said to the old card."""
    await _begun(story)
    places = {round: story.place(3, round=round) for round in (1, 2)}
    for round, place in places.items():
        await story.store.ask(
            card_for(story.intent(0, place=place), f"c{round}"), notice={}, fence=story.fence
        )
    await story.store.answer("c2", answer="approve", by="kim", reason="", now=40)
    await story.store.begin_anew(
        story.item, 2, card=await _diverged(story), fence=story.fence, now=60
    )
    assert [c.card for c in await story.store.cards()] == ["c1"], "the round before still asks"
    again = await story.store.ask(
        card_for(story.intent(0, place=story.place(3, round=3)), "c2"), notice={}, fence=story.fence
    )
    assert again.card != "c2"
    assert again.answer is None


async def test_what_was_in_force_when_it_began_to_wait_is_kept_with_the_item(story: Story) -> None:
    await story.store.posted(story.item, fence=story.fence, now=10, noted={"rules": ["a"]})
    got = await story.claim(now=4000)
    assert got.item.noted == {"rules": ["a"]}


async def test_a_doubt_is_still_a_doubt_after_a_restart_of_another_round(story: Story) -> None:
    await _begun(story)
    write: dict[str, Any] = {"name": "github.create_issue", "repeatable": False}
    await story.admit(place=story.place(5, round=1), **write)
    await story.store.begin_anew(
        story.item, 2, card=await _diverged(story), fence=story.fence, now=60
    )
    await story.claim(now=90_000)
    got = await story.store.intend(
        story.intent(0, place=story.place(5, round=1), now=91_000, **write)
    )
    assert isinstance(got, InDoubt)


async def _lost_write(story: Story) -> InDoubt:
    """A restart that finds a write of its round in doubt, which the new code never came to."""
    await _begun(story)
    await story.admit(
        place=story.place(5, round=2), name="github.create_issue", repeatable=False, send_by=3500
    )
    await story.claim(now=90_000)
    card = await _diverged(story)
    got = await story.store.begin_anew(story.item, 2, card=card, fence=story.fence, now=91_000)
    assert isinstance(got, InDoubt)
    return got


async def test_a_round_is_not_begun_anew_while_one_of_its_writes_is_in_doubt(story: Story) -> None:
    doubt = await _lost_write(story)
    card = await story.store.card(doubt.card)
    assert card is not None
    assert (card.kind, card.tool, card.arguments) == (
        "in_doubt", "github.create_issue", {"state": "open"},
    )  # fmt: skip
    assert "ended as 'abandoned'" in card.why
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.restarts) == ("waiting", ())
    assert await story.store.begin_anew(story.item, 2, card="c9", fence=story.fence, now=9) == doubt
    assert len(await story.store.cards()) == 1


async def test_what_happened_in_a_round_given_up_is_done_before_the_new_one_begins(
    story: Story,
) -> None:
    doubt = await _lost_write(story)
    await story.store.answer(
        doubt.card, answer="happened", by="noor", reason="", now=92_000, result='{"number": 7}'
    )
    got = await story.store.begin_anew(story.item, 2, card="c9", fence=story.fence, now=93_000)
    assert isinstance(got, Claimed)
    assert got.item.restarts == ((2, 1),)
    (entry,) = [e for e in got.journal if e.key == story.place(5, round=2).key]
    assert entry.result is not None
    assert (entry.status, entry.result["structured"]) == ("done", {"number": 7})
    assert "vouched" in entry.labels


async def test_what_did_not_happen_in_a_round_given_up_is_no_hindrance(story: Story) -> None:
    doubt = await _lost_write(story)
    await story.store.answer(doubt.card, answer="not-happened", by="noor", reason="", now=92_000)
    got = await story.store.begin_anew(story.item, 2, card="c9", fence=story.fence, now=93_000)
    assert isinstance(got, Claimed)
    (entry,) = [e for e in got.journal if e.key == story.place(5, round=2).key]
    assert entry.status == "doubt", "never done, and never asked for again"


async def test_what_is_abandoned_in_a_round_given_up_ends_the_item(story: Story) -> None:
    doubt = await _lost_write(story)
    await story.store.answer(doubt.card, answer="abandon", by="noor", reason="", now=92_000)
    got = await story.store.begin_anew(story.item, 2, card="c9", fence=story.fence, now=93_000)
    assert isinstance(got, Refused)
    assert got.stop.reason == "in_doubt"
