"""Is one file safe under many tasks, threads, event loops and broken pieces of work?"""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest

from drivers.store.connection import BATCH, Database
from drivers.store.sql import Sql
from governance.errors import StoreError


def _table(sql: Sql) -> None:
    sql.run("CREATE TABLE IF NOT EXISTS t (n BIGINT PRIMARY KEY)")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "d.db", _table)
    yield opened
    opened.close()


def _put(n: int):
    return lambda sql: sql.run("INSERT INTO t (n) VALUES (:n)", n=n)


def _all(sql: Sql) -> list[int]:
    return [row["n"] for row in sql.all("SELECT n FROM t ORDER BY n")]


class _Gate:
    """Holds the writer inside a piece of work until it is opened."""

    def __init__(self, database: Database) -> None:
        self._inside, self._open = threading.Event(), threading.Event()
        self.job = database.write(self._wait)
        assert self._inside.wait(5)

    def _wait(self, _: Sql) -> None:
        self._inside.set()
        assert self._open.wait(5)

    def open(self) -> None:
        self._open.set()
        self.job.result(5)


def test_what_waits_shares_one_commit(database: Database, tmp_path: Path) -> None:
    gate = _Gate(database)
    commits: list[int] = []
    jobs = [database.write(_put(n)) for n in range(BATCH)]
    seen = database.write(lambda sql: commits.append(len(_all(sql))))
    gate.open()
    for job in jobs:
        assert job.result(5) == 1
    seen.result(5)
    assert commits == [BATCH]
    # One transaction of the first batch, one of the second: with one each the log would be many times longer.
    assert (tmp_path / "d.db-wal").stat().st_size < 20 * 4200


def test_work_that_raises_is_undone_alone(database: Database) -> None:
    def half(sql: Sql) -> None:
        sql.run("INSERT INTO t (n) VALUES (1)")
        raise LookupError("mine")

    gate = _Gate(database)
    jobs = [
        database.write(_put(0)),
        database.write(half),
        database.write(_put(0)),
        database.write(_put(2)),
    ]
    gate.open()
    assert jobs[0].result(5) == 1
    with pytest.raises(LookupError, match="mine"):
        jobs[1].result(5)
    with pytest.raises(StoreError, match="UNIQUE constraint failed"):
        jobs[2].result(5)
    assert jobs[3].result(5) == 1
    assert database.read(_all).result(5) == [0, 2]


def test_a_caller_who_left_before_its_turn_changes_nothing(database: Database) -> None:
    gate = _Gate(database)
    job = database.write(_put(1))
    assert job.cancel()
    gate.open()
    with pytest.raises(CancelledError):
        job.result(5)
    assert database.read(_all).result(5) == []


def test_a_transaction_that_breaks_as_a_whole_is_told_to_all_and_the_next_goes_on(
    database: Database,
) -> None:
    gate = _Gate(database)
    jobs = [
        database.write(_put(1)),
        database.write(lambda sql: sql.run("ROLLBACK")),
        database.write(_put(2)),
    ]
    gate.open()
    for job in jobs:
        with pytest.raises(StoreError):
            job.result(5)
    assert database.write(_put(3)).result(5) == 1
    assert database.read(_all).result(5) == [3]


def test_threads_and_event_loops_share_it(database: Database) -> None:
    async def many(start: int) -> None:
        await asyncio.gather(
            *(asyncio.wrap_future(database.write(_put(start + n))) for n in range(50))
        )

    threads = [threading.Thread(target=lambda s=s: asyncio.run(many(s * 50))) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert database.read(_all).result(5) == list(range(200))


def test_an_event_loop_that_is_gone_does_not_stop_the_writer(database: Database) -> None:
    gate = _Gate(database)

    async def leave() -> None:
        task = asyncio.ensure_future(asyncio.wrap_future(database.write(_put(1))))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    gate.open()
    assert database.write(_put(2)).result(5) == 1


def test_a_reader_sees_one_moment_and_cannot_write(database: Database) -> None:
    def twice(sql: Sql) -> tuple[list[int], list[int]]:
        first = _all(sql)
        database.write(_put(7)).result(5)
        return first, _all(sql)

    assert database.read(twice).result(5) == ([], [])
    assert database.read(_all).result(5) == [7]
    with pytest.raises(StoreError, match="readonly"):
        database.read(_put(8)).result(5)
    assert database.read(_all).result(5) == [7]


def test_closing_finishes_what_is_queued_and_refuses_what_comes_after(tmp_path: Path) -> None:
    database = Database(tmp_path / "d.db", _table)
    gate = _Gate(database)
    job = database.write(_put(1))
    closing = threading.Thread(target=database.close)
    closing.start()
    gate.open()
    closing.join(5)
    assert job.result(0) == 1
    database.close()
    for submit in (database.write, database.read):
        with pytest.raises(StoreError, match="is closed; nothing was read or written"):
            submit(_all)
    assert not (tmp_path / "d.db-wal").exists()


def test_only_the_owner_may_read_the_files(database: Database, tmp_path: Path) -> None:
    database.write(_put(1)).result(5)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("d.db", "d.db-wal", "d.db-shm", "d.db.lock"), 0o600)


def test_every_commit_reaches_the_disk(database: Database) -> None:
    def pragmas(sql: Sql) -> tuple[object, ...]:
        rows = [sql.one(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")]
        return tuple(row[0] for row in rows if row is not None)

    assert database.write(pragmas).result(5) == ("wal", 2)


def test_a_program_that_holds_the_file_for_too_long_is_told_of_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "d.db", _table, patience_s=0.2)
    with closing(sqlite3.connect(tmp_path / "d.db", isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        told = r"store '.*d.db' was held by another program for longer than 0.2 s, and nothing was written"
        with pytest.raises(StoreError, match=told):
            database.write(_put(1)).result(5)
        with pytest.raises(StoreError, match=told):
            Database(tmp_path / "d.db", _table, patience_s=0.2)
        assert database.read(_all).result(5) == []
        foreign.execute("ROLLBACK")
    assert database.write(_put(2)).result(5) == 1
    assert database.read(_all).result(5) == [2]
    database.close()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "d.db").write_text("not a database, but long enough to be read as one " * 50)
    with pytest.raises(StoreError, match=r"store '.*d.db' cannot be used: file is not a database"):
        Database(tmp_path / "d.db", _table)


def test_a_preparation_that_raises_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def broken(sql: Sql) -> None:
        sql.run("CREATE TABLE half (n BIGINT)")
        raise StoreError("no")

    with pytest.raises(StoreError, match="no") as told:
        Database(tmp_path / "d.db", broken)
    assert told.value.__traceback__ is not None
    # At once, while the error is still held: neither the half transaction nor a lock is left behind.
    plain = sqlite3.connect(tmp_path / "d.db", timeout=0)
    assert plain.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    plain.execute("CREATE TABLE free (n BIGINT)")
    plain.close()
    Database(tmp_path / "d.db", _table).close()


def test_a_place_where_no_file_can_be_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"store '.*/file/d.db' cannot be used"):
        Database(tmp_path / "file" / "d.db", _table)
