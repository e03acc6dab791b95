"""What does the store still need of the blobs, and what of itself may go?"""

import asyncio
from dataclasses import replace
from typing import Any

from drivers.store.retention import MOST_ENTRIES, MOST_OWNERS
from drivers.store.sql import Sql
from governance.upkeep import Forgotten
from tests.drivers.store.homes import Home
from tests.drivers.store.story import Story, card_for, settled

BIG = "word " * 5000
MANIFEST = "sha256:" + "b" * 64


def digests(home: Home) -> list[str]:
    """What was noted of each result when it was written."""
    return [d for (d,) in home.ask("SELECT result_digest FROM journal WHERE status = 'done'")]


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
    assert (await story.store.forget(9001)) == Forgotten(items=1, heartbeats=1, entries=1, cards=1)
    assert not (await story.store.forget(9001)).any, "once"


async def test_what_happened_and_what_it_cost_stays_when_the_content_is_gone(
    story: Story, home: Home
) -> None:
    await worked(story)
    await close(story, now=9000)
    before = await story.store.ledger(item=story.item)
    noted = digests(home)
    assert noted
    await story.store.forget(9001)
    assert await story.store.ledger(item=story.item) == before
    assert digests(home) == noted
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


async def years(story: Story, *, items: int, entries: int) -> None:
    """So many items that ended long ago, each with so many entries, as copies of the one that was worked on."""
    await worked(story)
    await close(story, now=9000)

    def copied(sql: Sql) -> None:
        item, entry = (sql.one(f"SELECT * FROM {table} LIMIT 1") for table in ("items", "journal"))
        assert item is not None
        assert entry is not None
        sql.run("DELETE FROM journal")
        sql.run("DELETE FROM items")
        for n in range(items):
            _insert(sql, "items", {**dict(item), "item": f"i{n}", "closed_at": n})
            for step in range(entries):
                _insert(
                    sql,
                    "journal",
                    {**dict(entry), "key": f"i{n}-{step}", "owner": f"i{n}", "step": step},
                )

    await story.store.write(copied, "found")


def _insert(sql: Sql, table: str, row: Any) -> None:
    sql.run(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})",
        **row,
    )


async def all_of(story: Story, portions: list[Forgotten]) -> None:
    while (portion := await story.store.forget(10**9)).any:
        portions.append(portion)


async def test_years_of_content_go_in_portions_and_a_kill_between_two_leaves_none_behind(
    story: Story, home: Home
) -> None:
    await years(story, items=1_200, entries=3)
    first = await story.store.forget(10**9)
    assert (first.items, first.entries) == (MOST_OWNERS, 3 * MOST_OWNERS)
    story.store.disconnect()

    again, portions = replace(story, store=home.open()), [first]
    await all_of(again, portions)
    assert sum(portions, Forgotten()) == Forgotten(items=1_200, heartbeats=1, entries=3_600)
    assert len(portions) == 3
    assert {e.result is None for n in range(1_200) for e in await again.store.entries(f"i{n}")} == {
        True
    }
    again.store.disconnect()


async def test_a_portion_ends_with_the_item_that_is_long_enough_by_itself(story: Story) -> None:
    await years(story, items=3, entries=MOST_ENTRIES)
    portions: list[Forgotten] = []
    await all_of(story, portions)
    assert [p.entries for p in portions] == [MOST_ENTRIES] * 3 + [0]


async def test_others_write_while_years_of_content_go(story: Story, home: Home) -> None:
    """From another connection, which waits for the lock between processes."""
    await years(story, items=2_000, entries=3)
    other, portions = home.open(), list[Forgotten]()
    going = asyncio.create_task(all_of(story, portions))
    written = 0
    while not going.done():
        await other.put_cap("org:usd", str(written), 1, by="noor", now=1)
        written += not going.done()
    await going
    assert len(portions) == 5
    assert written >= 2, "it was let in between"
    other.disconnect()
