"""A process is killed before, in the middle of, and after every transaction of the store: what is there afterwards?"""

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drivers.crash import TRANSACTIONS
from tests.chaos.deeds import AGAIN_IS_MORE, DEEDS
from tests.chaos.forks import Forks, has_ended, until_stopped
from tests.drivers.store.opened import until_waited_for

pytestmark = pytest.mark.slow

FLOOR = 121
"""So many are killed here at least: three for each transaction, and one in whose place others wait."""

killed: list[str] = []


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as running:
        yield running


Rows = dict[str, list[tuple[Any, ...]]]


def rows_of(directory: Path) -> Rows:
    """Every row of the store there, looked at in a copy: whoever comes next finds what the killed one left."""
    if not (directory / "store.db").exists():
        return {}
    copy = shutil.copytree(directory, directory.with_name(f"{directory.name}-looked-at"))
    try:
        with closing(sqlite3.connect(copy / "store.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {t: sorted(db.execute(f"SELECT * FROM {t}"), key=repr) for (t,) in tables}
    finally:
        shutil.rmtree(copy)


def files_of(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("store.db*"))


@pytest.mark.parametrize("name", TRANSACTIONS)
async def test_it_is_made_whole_or_not_at_all_and_whoever_follows_ends_alike(
    forks: Forks, tmp_path: Path, name: str
) -> None:
    deed, start, once = DEEDS[name], tmp_path / "start", tmp_path / "once"
    start.mkdir()
    await deed.before(start)
    before = rows_of(start)
    shutil.copytree(start, once)
    assert forks.do(name, once) == 0
    after, files = rows_of(once), files_of(once)
    assert after != before
    again = shutil.copytree(once, tmp_path / "again")
    forks.do(name, again, nth=1)
    twice = rows_of(again)
    assert (twice != after) == (name in AGAIN_IS_MORE)

    middle = "in-prepare" if name == "prepare" else "in-commit"
    for point in (f"before-{name}", middle, f"after-{name}"):
        place = shutil.copytree(start, tmp_path / point)
        assert forks.do(name, place, doom=f"{point}:1") == -signal.SIGKILL
        killed.append(point)
        there = point == f"after-{name}" and not deed.whole
        assert rows_of(place) == (after if there else before), point
        assert forks.do(name, place, nth=int(there)) == 0
        assert rows_of(place) == (twice if there else after), point
        assert files_of(place) == files, point


async def about_to_settle(home: Path) -> Path:
    """A store with an effect that was admitted and is not done."""
    place = home / "place"
    place.mkdir()
    await DEEDS["done"].before(place)
    return place


def one_inside_and_one_behind(forks: Forks, place: Path) -> tuple[int, int]:
    """A process that has stopped inside a transaction, and one that wants to write."""
    stopped = forks.start("done", place, doom="in-commit:1:stop")
    until_stopped(stopped)
    return stopped, forks.start("put-cap", place)


async def test_one_that_stands_still_inside_a_transaction_holds_the_others_up_and_loses_nothing(
    forks: Forks, tmp_path: Path
) -> None:
    """The kernel gives its lock back when it dies; while it is stopped nobody can know whether it will go on."""
    place = await about_to_settle(tmp_path)
    before = rows_of(place)
    stopped, waiting = one_inside_and_one_behind(forks, place)
    assert not has_ended(waiting, 0.5)
    assert rows_of(place) == before, "it is read meanwhile"
    os.kill(stopped, signal.SIGCONT)
    assert [forks.ended(pid) for pid in (stopped, waiting)] == [0, 0]
    rows = rows_of(place)
    (row,) = rows["ledger"]
    assert "done" in row
    assert ("run:r1:usd", "r1", 500, 0, 30, 0, None) in rows["budgets"]


async def test_one_that_is_killed_inside_a_transaction_lets_those_who_wait_in_at_once(
    forks: Forks, tmp_path: Path
) -> None:
    place = await about_to_settle(tmp_path)
    stopped, waiting = one_inside_and_one_behind(forks, place)
    assert not has_ended(waiting, 0.2)
    os.kill(stopped, signal.SIGKILL)
    assert [forks.ended(pid) for pid in (stopped, waiting)] == [-signal.SIGKILL, 0]
    killed.append("in-commit")
    rows = rows_of(place)
    assert "open" in rows["ledger"][0], "nothing of it was written"
    assert ("run:r1:usd", "r1", 500, 40, 0, 0, None) in rows["budgets"]


async def test_one_that_stands_still_as_the_first_that_waits_holds_the_others_up_until_it_is_gone(
    forks: Forks, tmp_path: Path
) -> None:
    place = await about_to_settle(tmp_path)
    inside, first = one_inside_and_one_behind(forks, place)
    until_waited_for(place / "store.db.lock.gate")
    os.kill(first, signal.SIGSTOP)
    os.kill(inside, signal.SIGCONT)
    later = forks.start("put-cap", place)
    assert not has_ended(later, 0.5)
    assert "done" in rows_of(place)["ledger"][0], "who was before it has written"
    os.kill(first, signal.SIGKILL)
    assert [forks.ended(pid) for pid in (first, later, inside)] == [-signal.SIGKILL, 0, 0]


async def test_a_program_that_knows_nothing_of_our_lock_is_waited_for(
    forks: Forks, tmp_path: Path
) -> None:
    place = await about_to_settle(tmp_path)
    with closing(sqlite3.connect(place / "store.db", isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        waiting = forks.start("done", place)
        assert not has_ended(waiting, 0.5)
        foreign.execute("ROLLBACK")
        assert forks.ended(waiting) == 0
    assert "done" in rows_of(place)["ledger"][0]


def test_as_many_were_killed_as_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(killed)} were killed")
    assert len(killed) >= FLOOR
