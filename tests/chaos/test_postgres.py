"""A process is killed in the middle of, and after, every transaction of a store on Postgres: what is there then?"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.crash import TRANSACTIONS
from tests.chaos.deeds import AGAIN_IS_MORE, DEEDS
from tests.chaos.forks import Forks, has_ended, until_stopped
from tests.drivers.store.homes import Cluster, cluster_of_its_own, told, told_all
from tests.drivers.store.story import PLACE, store_in

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

FLOOR = 77
"""So many are killed here at least: two for each transaction, and one in whose place others wait."""

killed: list[str] = []

OF_FILES = ("prepare", "restored")
"""Whose deeds are done to files."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with cluster_of_its_own() as running:
        yield running


class Place:
    """A directory whose store is in a database that has our tables."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster, self.directory, self.url = cluster, directory, cluster.make()
        directory.mkdir()
        (directory / PLACE).write_text(self.url)
        store_in(directory).disconnect()

    async def begin(self, name: str) -> None:
        """Nothing is there but what stands before that deed."""
        self.cluster.empty(self.url)
        await DEEDS[name].before(self.directory)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row, but for the numbers of those that have some: what a killed transaction took is gone for good."""
        columns: dict[str, list[str]] = {}
        for table, column in told(
            self.url,
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'looprail' AND is_identity = 'NO' ORDER BY table_name, ordinal_position",
        ):
            columns.setdefault(table, []).append(column)
        selects = [f"SELECT {', '.join(names)} FROM {table}" for table, names in columns.items()]
        found = told_all(self.url, *selects)
        return {table: sorted(rows, key=repr) for table, rows in zip(columns, found, strict=True)}


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(cluster, tmp_path_factory.mktemp("chaos") / "place")


@pytest.mark.parametrize("name", [name for name in TRANSACTIONS if name not in OF_FILES])
async def test_it_is_made_whole_or_not_at_all_on_postgres_too(
    forks: Forks, place: Place, name: str
) -> None:
    await place.begin(name)
    before = place.rows()
    assert forks.do(name, place.directory) == 0
    after = place.rows()
    assert after != before

    # Before it is asked for it makes no difference which database there is.
    await place.begin(name)
    assert forks.do(name, place.directory, doom="in-commit:1") == -signal.SIGKILL
    killed.append("in-commit")
    assert place.rows() == before
    assert forks.do(name, place.directory) == 0
    assert place.rows() == after

    await place.begin(name)
    assert forks.do(name, place.directory, doom=f"after-{name}:1") == -signal.SIGKILL
    killed.append(f"after-{name}")
    assert place.rows() == after
    forks.do(name, place.directory, nth=1)
    assert (place.rows() != after) == (name in AGAIN_IS_MORE)


def one_inside_and_one_behind(forks: Forks, place: Place) -> tuple[int, int]:
    """A process that has stopped inside a transaction, and one that wants to write."""
    stopped = forks.start("done", place.directory, doom="in-commit:1:stop")
    until_stopped(stopped)
    return stopped, forks.start("put-cap", place.directory)


async def test_one_that_stands_still_inside_a_transaction_on_postgres_holds_the_others_up(
    forks: Forks, place: Place
) -> None:
    await place.begin("done")
    before = place.rows()
    stopped, waiting = one_inside_and_one_behind(forks, place)
    assert not has_ended(waiting, 0.5)
    assert place.rows() == before, "it is read meanwhile"
    os.kill(stopped, signal.SIGCONT)
    assert [forks.ended(pid) for pid in (stopped, waiting)] == [0, 0]
    rows = place.rows()
    (row,) = rows["ledger"]
    assert "done" in row
    assert ("run:r1:usd", "r1", 500, 0, 30, 0, None) in rows["budgets"]


async def test_one_that_is_killed_inside_a_transaction_on_postgres_leaves_no_lock(
    forks: Forks, place: Place
) -> None:
    await place.begin("done")
    stopped, waiting = one_inside_and_one_behind(forks, place)
    held = "SELECT granted FROM pg_locks WHERE locktype = 'advisory' ORDER BY granted"
    while told(place.url, held) != [(False,), (True,)]:
        assert not has_ended(waiting, 0.1)
    os.kill(stopped, signal.SIGKILL)
    assert [forks.ended(pid) for pid in (stopped, waiting)] == [-signal.SIGKILL, 0]
    killed.append("in-commit")
    rows = place.rows()
    assert "open" in rows["ledger"][0], "nothing of it was written"
    assert ("run:r1:usd", "r1", 500, 40, 0, 0, None) in rows["budgets"]
    assert told(place.url, held) == []


def test_as_many_were_killed_on_postgres_as_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(killed)} were killed")
    assert len(killed) >= FLOOR
