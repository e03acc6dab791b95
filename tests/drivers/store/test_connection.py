"""Is one SQLite file safe beside programs that are not ours, and on a disk?"""

import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drivers.store.connection import FileLock, sqlite_database
from drivers.store.database import BATCH, Database, Taken
from drivers.store.sql import Sql
from governance.errors import StoreError
from tests.drivers.store.opened import Gate, all_rows, put, table, until_waited_for


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = sqlite_database(tmp_path / "d.db", table)
    yield opened
    opened.close()


def test_what_waits_shares_one_commit(database: Database, tmp_path: Path) -> None:
    gate = Gate(database)
    commits: list[int] = []
    jobs = [database.write(put(n)) for n in range(BATCH)]
    seen = database.write(lambda sql: commits.append(len(all_rows(sql))))
    gate.open()
    for job in jobs:
        assert job.result(5) == 1
    seen.result(5)
    assert commits == [BATCH]
    # One transaction of the first batch, one of the second: with one each the log would be many times longer.
    assert (tmp_path / "d.db-wal").stat().st_size < 20 * 4200


def test_the_last_to_close_leaves_one_file(database: Database, tmp_path: Path) -> None:
    database.write(put(1)).result(5)
    database.close()
    assert {p.name for p in tmp_path.iterdir()} == {"d.db", "d.db.lock", "d.db.lock.gate"}


def test_only_the_owner_may_read_the_files(database: Database, tmp_path: Path) -> None:
    database.write(put(1)).result(5)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    names = ("d.db", "d.db-wal", "d.db-shm", "d.db.lock", "d.db.lock.gate")
    assert modes == dict.fromkeys(names, 0o600)


def test_whoever_gives_the_lock_back_lets_the_one_that_waits_go_first(tmp_path: Path) -> None:
    ours, theirs, third = (FileLock(tmp_path / "d.lock") for _ in range(3))
    had: list[str] = []

    def wait() -> None:
        with theirs:
            had.append("theirs")

    for _ in range(50):
        ours.take(wait=True)
        waiting = threading.Thread(target=wait)
        waiting.start()
        until_waited_for(tmp_path / "d.lock.gate")
        with pytest.raises(Taken):
            third.take(wait=False)
        ours.give()
        with ours:
            had.append("ours")
        waiting.join(5)
    assert had == ["theirs", "ours"] * 50
    for lock in (ours, theirs, third):
        lock.close()


def test_every_commit_reaches_the_disk(database: Database) -> None:
    def pragmas(sql: Sql) -> tuple[object, ...]:
        names = ("journal_mode", "synchronous")
        return tuple(row[name] for name in names if (row := sql.one(f"PRAGMA {name}")) is not None)

    assert database.write(pragmas).result(5) == ("wal", 2)


def test_a_program_that_holds_the_file_for_too_long_is_told_of_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    database = sqlite_database(tmp_path / "d.db", table, patience_s=0.2)
    with closing(sqlite3.connect(tmp_path / "d.db", isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        told = r"store '.*d.db' was held by another program for longer than 0.2 s, and nothing was written"
        with pytest.raises(StoreError, match=told):
            database.write(put(1)).result(5)
        with pytest.raises(StoreError, match=told):
            sqlite_database(tmp_path / "d.db", table, patience_s=0.2)
        assert database.read(all_rows).result(5) == []
        foreign.execute("ROLLBACK")
    assert database.write(put(2)).result(5) == 1
    assert database.read(all_rows).result(5) == [2]
    database.close()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_text("not a database, but long enough to be read as one " * 50)
    with pytest.raises(StoreError, match=r"store '.*d.db' cannot be used: file is not a database"):
        sqlite_database(tmp_path / "d.db", table)


def test_a_preparation_that_raises_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def broken(sql: Sql) -> None:
        sql.run("CREATE TABLE half (n BIGINT)")
        raise StoreError("no")

    with pytest.raises(StoreError, match="no") as told:
        sqlite_database(tmp_path / "d.db", broken)
    assert told.value.__traceback__ is not None
    # At once, while the error is still held: neither the half transaction nor a lock is left behind.
    plain = sqlite3.connect(tmp_path / "d.db", timeout=0)
    assert plain.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    plain.execute("CREATE TABLE free (n BIGINT)")
    plain.close()
    sqlite_database(tmp_path / "d.db", table).close()


def test_a_place_where_no_file_can_be_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"store '.*/file/d.db' cannot be used"):
        sqlite_database(tmp_path / "file" / "d.db", table)
