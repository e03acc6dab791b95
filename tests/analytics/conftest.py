import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from analytics.export import export
from analytics.lake import Lake
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from drivers.store.store import SqlStore
from governance.records import LedgerRow
from tests.analytics.golden import tell_all


def store_in(directory: Path) -> SqlStore:
    return open_store(f"sqlite://{directory}/store.db", DirectoryBlobs(directory / "blobs"))


class Told(NamedTuple):
    """The golden story: its home (`store.db`, `blobs`, `.looprail/lake`), its lake, its ledger."""

    home: Path
    lake: Lake
    ledger: tuple[LedgerRow, ...]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = store_in(tmp_path)
    yield opened
    opened.disconnect()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = tmp_path_factory.mktemp("golden")
    lake, store = Lake(home / ".looprail" / "lake"), store_in(home)

    async def tell() -> tuple[LedgerRow, ...]:
        ledger = await tell_all(store)
        await export(store, lake)
        return ledger

    ledger = asyncio.run(tell())
    store.disconnect()
    return Told(home, lake, ledger)
