"""How is a loop's state page written, whoever changes what it says?"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from governance.breaker import BreakerRow
from governance.errors import StoreError
from governance.memory import Store
from governance.records import ItemRow, PageMoved
from governance.statepage import people_of, state_page

T = TypeVar("T")

COMPOSED_AT_MOST = 100
"""How often a page is composed before its loop's others are too many: each time one of them was written."""


async def on_the_page(
    store: Store, loop: str, write: Callable[[str, int], Awaitable[T | PageMoved]], *,
    ended: ItemRow | None = None, pause: BreakerRow | None = None,
) -> T:  # fmt: skip
    """What `write` gives, called with the page and the version it was composed from.

    `ended` is an item as it stands from now on, `pause` the loop's pause. When another version was written
    meanwhile the page is composed anew, so that no ended item and no word of a person is missing. Raises
    `StoreError` when that does not end; nothing was written then.
    """
    for _ in range(COMPOSED_AT_MOST):
        # The page first: whatever closes after it was read moves it.
        page = await store.state(loop)
        others = [i for i in await store.items(loop=loop) if ended is None or i.item != ended.item]
        items = others if ended is None else [ended, *others]
        body = state_page(loop, items, people_of(page.body if page else None), pause)
        written = await write(body, page.version if page else 0)
        if not isinstance(written, PageMoved):
            return written
    raise StoreError(
        f"the state page of loop {loop!r} was written by others {COMPOSED_AT_MOST} times in a row. Nothing was "
        "written here; try again."
    )
