from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.store.sqlite import SqliteStore
from governance.records import Budget
from tests.drivers.store.story import RUN, Story, store_in


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = store_in(tmp_path)
    yield opened
    opened.disconnect()


@pytest.fixture
async def story(store: SqliteStore) -> Story:
    """A run with 100 pico-USD, 50 tokens and one claimed item of 5 steps."""
    told = Story(store)
    await told.open_run(
        RUN, "06:00", Budget("run:r1:usd", RUN, 100), Budget("run:r1:tokens", RUN, 50)
    )
    (item,) = await told.find("test_a", budgets=(Budget("item:{item}:steps", RUN, 5),))
    await told.claim(item.item)
    return told
