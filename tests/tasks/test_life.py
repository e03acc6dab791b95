"""Is what people say of a loop kept, whatever ends in the same moment?"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cli.state import _correct
from drivers.store.store import SqlStore
from governance.definition import Loop
from governance.pinned import Pinned
from governance.statepage import outcome_of, people_of
from tasks.job import Job, enter
from tasks.life import _close, _Ending
from tests.drivers.store.story import LOOP, Story, store_in

PINNED = Pinned(
    loop=Loop(name=LOOP, model="m", instructions="a@v1"), instructions={"a@v1": "Look."}, skills={},
    models={}, image=None,
)  # fmt: skip


async def closing(store: SqlStore, item: str, fence: int) -> None:
    """What the task does at the end of an item's life, in a context of its own."""
    row = await store.item(item)
    assert row is not None
    world = cast(Any, SimpleNamespace(store=store))
    enter(Job(world, PINNED, run=row.run, owner=item, fence=fence, item=row))
    outcome = outcome_of(evidence=(), actions=(), claims="", links={})
    await _close.fn("done", _Ending(outcome, None))


async def test_no_word_of_a_person_is_lost_however_many_items_close_in_that_moment(
    tmp_path: Path,
) -> None:
    stores = [store_in(tmp_path) for _ in range(4)]
    story = Story(stores[0])
    await story.open_run()
    items = await story.find(*(f"test_{n}" for n in range(12)))
    fences = [(await story.claim(i.item, flow_run=i.item)).item.fence for i in items]
    ends = [
        closing(stores[n % 4], item.item, fence)
        for n, (item, fence) in enumerate(zip(items, fences, strict=True))
    ]
    words = [
        _correct(cast(Any, stores[n % 4]), LOOP, f"word {n} of", "noor", tmp_path)
        for n in range(12)
    ]
    both = [one for pair in zip(ends, words, strict=True) for one in pair]
    await asyncio.gather(*(asyncio.create_task(one) for one in both))
    page = await story.store.state(LOOP)
    assert page is not None
    said = people_of(page.body)
    assert [n for n in range(12) if f"word {n} of" not in said] == []
    assert said.count("word") == 12
    rows = await story.store.items(loop=LOOP)
    assert {row.status for row in rows} == {"done"}
    assert page.version == 1 + 24
    for store in stores:
        store.disconnect()
