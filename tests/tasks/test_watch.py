"""A flow run is gone: did a person delete it, or has Prefect lost all it knew?"""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.exceptions import ObjectNotFound

from drivers.store.store import SqlStore
from tasks.watch import _unwanted
from tests.drivers.store.story import store_in

OURS, HOUSE, EARLIER = uuid4(), uuid4(), uuid4()


class Server:
    """Prefect, as far as it is asked here: it has these flow runs and no other."""

    def __init__(self, *there: UUID) -> None:
        self._there = there

    async def read_flow_run(self, flow_run: UUID) -> Any:
        assert flow_run not in self._there
        raise ObjectNotFound(http_exc=ValueError("404"))

    async def read_flow_runs(self, *, flow_run_filter: Any, limit: int) -> list[UUID]:
        return [f for f in self._there if f in flow_run_filter.id.any_][:limit]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = store_in(tmp_path)
    yield opened
    opened.disconnect()


async def unwanted(store: SqlStore, *there: UUID) -> str | None:
    world: Any = SimpleNamespace(store=store)
    server: Any = Server(*there)
    return await _unwanted(server, world, OURS)


@pytest.mark.parametrize("there", [(HOUSE,), (EARLIER,), (HOUSE, EARLIER)])
async def test_a_run_that_is_gone_while_those_that_kept_house_are_there_was_deleted(
    store: SqlStore, there: tuple[UUID, ...]
) -> None:
    await store.kept_house(str(EARLIER), now=1)
    await store.kept_house(str(HOUSE), now=2)
    said = await unwanted(store, *there)
    assert said == f"flow run {str(OURS)!r} was deleted in Prefect"


async def test_a_run_that_is_gone_with_all_that_kept_house_is_nobodys_wish(
    store: SqlStore,
) -> None:
    await store.kept_house(str(HOUSE), now=2)
    assert await unwanted(store, uuid4()) is None


async def test_before_anybody_has_kept_house_what_is_gone_was_deleted(store: SqlStore) -> None:
    assert await unwanted(store) is not None
