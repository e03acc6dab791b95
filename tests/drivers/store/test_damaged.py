"""What the store holds was changed by something else: does anybody act on it?"""

from dataclasses import replace

import pytest

from drivers.store.store import SqlStore
from governance.effects import Admitted
from governance.errors import Damaged, Diverged
from tests.drivers.store.homes import Home
from tests.drivers.store.story import Story, card_for, settled

LARGE = {"text": "x" * 20_000}


@pytest.fixture
async def story(store: SqlStore) -> Story:
    """One item with a small and a large result on record."""
    story = Story(store)
    await story.open_run()
    (item,) = await story.find("a")
    await story.claim(item.item)
    await story.admit(0)
    await story.store.done(story.place(0), 1, settled())
    await story.admit(1)
    await story.store.done(story.place(1), 1, settled(result=LARGE))
    return story


def key(step: int) -> str:
    return f"key LIKE '%-lead-{step}-0'"


CHANGES = {
    "another result": f'UPDATE journal SET result = \'{{"text":"merged"}}\' WHERE {key(0)}',
    "another digest": f"UPDATE journal SET result_digest = 'sha256:0' WHERE {key(0)}",
    "another arguments": f'UPDATE journal SET args = \'{{"state":"all"}}\' WHERE {key(0)}',
    "two results swapped": (
        f"UPDATE journal SET result = (SELECT result FROM journal WHERE {key(1)}) WHERE {key(0)}"
    ),
    "a blob in place of a value": "UPDATE journal SET result = 'sha256:"
    + "0" * 64
    + f"' WHERE {key(0)}",
    "other labels": f"UPDATE journal SET labels = '[\"trusted\"]' WHERE {key(0)}",
    "another tree": f"UPDATE journal SET tree = '{'0' * 40}' WHERE {key(0)}",
    "another workspace": f"UPDATE journal SET state = 'sha256:{'0' * 64}' WHERE {key(0)}",
    "another name": f"UPDATE journal SET name = 'github.merge_pull_request' WHERE {key(0)}",
    "another head": f"UPDATE journal SET head = 'sha256:{'b' * 64}' WHERE {key(0)}",
    "another head after it": f"UPDATE journal SET head_after = 'sha256:{'b' * 64}' WHERE {key(0)}",
    "done again": f"UPDATE journal SET status = 'intended', result = NULL WHERE {key(0)}",
    "to be repeated": f"UPDATE journal SET repeatable = 0 WHERE {key(0)}",
    "another seal": f"UPDATE journal SET seal = 'sha256:0' WHERE {key(0)}",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_row_that_was_changed_gives_nobody_its_result(
    story: Story, home: Home, change: str
) -> None:
    home.tamper(CHANGES[change])
    with pytest.raises(Damaged, match=r"noted when it was written"):
        await story.store.entries(story.item)
    with pytest.raises(Damaged):
        await story.claim(now=9000)
    with pytest.raises((Damaged, Diverged)):
        await story.store.intend(story.intent(0, fence=story.fence + 1))


@pytest.mark.parametrize("what", ["flipped", "missing", "swapped"])
async def test_a_blob_that_was_changed_gives_nobody_its_content(
    story: Story, home: Home, what: str
) -> None:
    (blob,) = (home.directory / "blobs").glob("??/??/*")
    match what:
        case "flipped":
            content = bytearray(blob.read_bytes())
            content[100] ^= 1
            blob.write_bytes(content)
        case "missing":
            blob.unlink()
        case _:
            blob.write_text('{"text":"merged"}')
    with pytest.raises(Damaged, match=r"missing below|was changed on disk"):
        await story.store.entries(story.item)


async def test_a_row_of_the_time_before_seals_is_compared_as_it_was_then(
    story: Story, home: Home
) -> None:
    home.tamper(f"UPDATE journal SET labels = '[\"old\"]', seal = NULL WHERE {key(0)}")
    assert (await story.store.entries(story.item))[0].labels == ("old",)
    home.tamper(f"UPDATE journal SET head = 'sha256:{'b' * 64}' WHERE {key(0)}")
    with pytest.raises(Diverged):
        await story.store.intend(story.intent(0))


async def test_what_was_begun_before_seals_and_is_done_now_has_one(
    story: Story, home: Home
) -> None:
    await story.admit(2)
    home.tamper(f"UPDATE journal SET seal = NULL WHERE {key(2)}")
    await story.store.done(story.place(2), 1, settled())
    assert len(await story.store.entries(story.item)) == 3
    home.tamper(f"UPDATE journal SET labels = '[\"trusted\"]' WHERE {key(2)}")
    with pytest.raises(Damaged):
        await story.store.entries(story.item)


async def test_what_is_written_over_a_changed_row_does_not_make_it_whole(
    story: Story, home: Home
) -> None:
    """Its effect is under way meanwhile: what that cost is settled, and nobody acts on the rest."""
    await story.admit(2)
    home.tamper(f"UPDATE journal SET name = 'github.merge_pull_request' WHERE {key(2)}")
    with pytest.raises(Damaged, match=r"noted when it was written"):
        await story.store.done(story.place(2), 1, settled(cost=5))
    (row,) = [r for r in await story.store.ledger(item=story.item) if r.place.step == 2]
    assert (row.status, row.cost) == ("done", 5)
    with pytest.raises(Damaged):
        await story.store.entries(story.item)


ASKED = "github.merge_pull_request"
CARD_CHANGES = {
    "what it shows": "UPDATE cards SET diff = '\"nothing to see\"'",
    "facts": 'UPDATE cards SET facts = \'{"process":"dead"}\'',
    "an answer": "UPDATE cards SET answer = 'approve', answered_by = 'noor', answered_at = 1",
    "the effect it is about": "UPDATE cards SET key = key || '0'",
    "the tree": f"UPDATE cards SET tree = '{'0' * 40}'",
    "what silence means": "UPDATE cards SET on_deadline = 'approve', deadline = 1",
    "whether it was used": "UPDATE cards SET used_by = 'another'",
}


async def test_a_card_does_not_show_other_arguments_than_those_an_approval_is_for(
    story: Story, home: Home
) -> None:
    intent = story.intent(2, repeatable=False, name=ASKED, args={"number": 3})
    await story.store.ask(card_for(intent), notice={"kind": "card"}, fence=story.fence)
    home.tamper("UPDATE cards SET arguments = '{\"number\":4}'")
    with pytest.raises(Damaged):
        await story.store.cards(item=story.item)


@pytest.mark.parametrize("change", CARD_CHANGES)
async def test_a_card_that_was_changed_permits_nothing_and_takes_no_answer(
    story: Story, home: Home, change: str
) -> None:
    intent = story.intent(2, repeatable=False, name=ASKED, args={"number": 3})
    card = await story.store.ask(card_for(intent), notice={"kind": "card"}, fence=story.fence)
    home.tamper(CARD_CHANGES[change])
    with pytest.raises(Damaged):
        await story.store.cards(item=story.item, open_only=False)
    with pytest.raises(Damaged):
        await story.store.answer(card.card, answer="approve", by="noor", reason="", now=4000)
    with pytest.raises(Damaged):
        await story.store.intend(
            story.intent(2, repeatable=False, name=ASKED, args={"number": 3}, card=card.card)
        )


async def test_an_answer_that_was_turned_round_permits_nothing(story: Story, home: Home) -> None:
    intent = story.intent(2, repeatable=False, name=ASKED, args={"number": 3})
    card = await story.store.ask(card_for(intent), notice={"kind": "card"}, fence=story.fence)
    await story.store.answer(card.card, answer="reject", by="noor", reason="no", now=4000)
    home.tamper("UPDATE cards SET answer = 'approve'")
    with pytest.raises(Damaged):
        await story.store.intend(replace(intent, card=card.card))


async def test_a_card_that_nobody_changed_goes_its_way_under_its_seal(story: Story) -> None:
    intent = story.intent(2, repeatable=False, name=ASKED, args={"number": 3})
    card = await story.store.ask(card_for(intent), notice={"kind": "card"}, fence=story.fence)
    await story.store.learned(card.card, {"probe": {}}, fence=story.fence)
    await story.store.posted(story.item, fence=story.fence, now=3900)
    await story.store.answer(card.card, answer="approve", by="noor", reason="", now=4000)
    assert isinstance(await story.store.intend(replace(intent, card=card.card)), Admitted)
    (used,) = await story.store.cards(item=story.item, open_only=False)
    assert (used.used_by, used.posted_n, used.facts) == (intent.place.key, 1, {"probe": {}})


async def test_a_definition_that_was_changed_is_followed_by_nobody(
    story: Story, home: Home
) -> None:
    digest = await story.store.pin("loop", "triage", "name: triage", by="noor", now=1)
    home.tamper("UPDATE definitions SET body = 'name: other'")
    with pytest.raises(Damaged, match=r"was changed in the store"):
        await story.store.definition(digest)
