"""What does the store still need of the blobs, and what of itself may go?"""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from governance.upkeep import Forgotten
from tests.drivers.store.story import Story, card_for, settled

BIG = "word " * 5000
MANIFEST = "sha256:" + "b" * 64


def digests(directory: Path) -> list[str]:
    """What was noted of each result when it was written."""
    with closing(sqlite3.connect(directory / "store.db")) as db:
        return [d for (d,) in db.execute("SELECT result_digest FROM journal WHERE status = 'done'")]


async def worked(story: Story) -> None:
    """Two effects with large values, a saved workspace, and a card with a diff, all of it approved and done."""
    intent = story.intent(0, args={"text": BIG})
    admitted = await story.admit(0, args={"text": BIG})
    await story.store.done(
        intent.place, admitted.attempt, settled(result={"text": BIG + "!"}, cost=5, state=MANIFEST)
    )
    card = replace(
        card_for(story.intent(1)),
        arguments={"text": BIG + "?"},
        diff=BIG + "+",
        facts={"probe": BIG},
    )
    await story.store.ask(card, notice={}, fence=1)


async def close(story: Story, now: int) -> None:
    await story.store.close(
        story.item, fence=1, status="done", outcome={}, stop=None, state="#", seen=1, now=now
    )


async def test_every_blob_that_a_row_names_is_in_use(story: Story) -> None:
    await worked(story)
    used = await story.store.in_use()
    assert len(used.bodies) == 5
    assert used.states == {MANIFEST}


async def test_content_goes_only_when_what_it_is_about_ended_before_the_moment(
    story: Story,
) -> None:
    await worked(story)
    assert not (await story.store.forget(10**15)).any, "it is open"
    await close(story, now=9000)
    assert not (await story.store.forget(9000)).any
    assert (await story.store.forget(9001)) == Forgotten(items=1, entries=1, cards=1)
    assert not (await story.store.forget(9001)).any, "once"


async def test_what_happened_and_what_it_cost_stays_when_the_content_is_gone(
    story: Story, tmp_path: Path
) -> None:
    await worked(story)
    await close(story, now=9000)
    before = await story.store.ledger(item=story.item)
    noted = digests(tmp_path)
    assert noted
    await story.store.forget(9001)
    assert await story.store.ledger(item=story.item) == before
    assert digests(tmp_path) == noted
    (entry,) = await story.store.entries(story.item)
    assert (entry.key, entry.status, entry.kind) == (story.place(0).key, "done", "tool")
    assert (entry.result, entry.state, entry.args) == (None, None, {"gone": "by retention"})
    (card,) = await story.store.cards(item=story.item, open_only=False)
    assert (card.tool, card.diff, card.facts, card.arguments) == (
        "github.list_issues", None, None, {"gone": "by retention"},
    )  # fmt: skip
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.finding.title, item.finding.brief, item.state) == (
        f"fix {item.finding.dedupe}",
        "",
        None,
    )
    used = await story.store.in_use()
    assert (used.bodies, used.states) == (frozenset(), frozenset())
