"""Is one database safe under many tasks, threads, event loops and broken pieces of work?"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from drivers.store.database import BATCH, Database
from drivers.store.sql import Sql
from governance.errors import StoreError
from tests.drivers.store.homes import Home
from tests.drivers.store.opened import Gate, all_rows, put, table


@pytest.fixture
def database(empty: Home) -> Iterator[Database]:
    opened = empty.database(table)
    yield opened
    opened.close()


def test_what_waits_shares_one_turn(database: Database) -> None:
    gate = Gate(database)
    turns: list[int] = []
    jobs = [database.write(put(n)) for n in range(BATCH)]
    seen = database.write(lambda sql: turns.append(len(all_rows(sql))))
    gate.open()
    for job in jobs:
        assert job.result(5) == 1
    seen.result(5)
    assert turns == [BATCH]


def test_work_that_raises_is_undone_alone(database: Database) -> None:
    def half(sql: Sql) -> None:
        sql.run("INSERT INTO t (n) VALUES (1)")
        raise LookupError("mine")

    gate = Gate(database)
    jobs = [
        database.write(put(0)),
        database.write(half),
        database.write(put(0)),
        database.write(put(2)),
    ]
    gate.open()
    assert jobs[0].result(5) == 1
    with pytest.raises(LookupError, match="mine"):
        jobs[1].result(5)
    with pytest.raises(StoreError, match=r"UNIQUE constraint failed|duplicate key value"):
        jobs[2].result(5)
    assert jobs[3].result(5) == 1
    assert database.read(all_rows).result(5) == [0, 2]


def test_a_caller_who_left_before_its_turn_changes_nothing(database: Database) -> None:
    gate = Gate(database)
    job = database.write(put(1))
    assert job.cancel()
    gate.open()
    with pytest.raises(CancelledError):
        job.result(5)
    assert database.read(all_rows).result(5) == []


def test_a_transaction_that_breaks_as_a_whole_is_told_to_all_and_the_next_goes_on(
    database: Database,
) -> None:
    gate = Gate(database)
    jobs = [
        database.write(put(1)),
        database.write(lambda sql: sql.run("ROLLBACK")),
        database.write(put(2)),
    ]
    gate.open()
    for job in jobs:
        with pytest.raises(StoreError):
            job.result(5)
    assert database.write(put(3)).result(5) == 1
    assert database.read(all_rows).result(5) == [3]


def test_threads_and_event_loops_share_it(database: Database) -> None:
    async def many(start: int) -> None:
        await asyncio.gather(
            *(asyncio.wrap_future(database.write(put(start + n))) for n in range(50))
        )

    threads = [threading.Thread(target=lambda s=s: asyncio.run(many(s * 50))) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert database.read(all_rows).result(5) == list(range(200))


def test_an_event_loop_that_is_gone_does_not_stop_the_writer(database: Database) -> None:
    gate = Gate(database)

    async def leave() -> None:
        task = asyncio.ensure_future(asyncio.wrap_future(database.write(put(1))))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    gate.open()
    assert database.write(put(2)).result(5) == 1


def test_a_reader_sees_one_moment_and_cannot_write(database: Database) -> None:
    def twice(sql: Sql) -> tuple[list[int], list[int]]:
        first = all_rows(sql)
        database.write(put(7)).result(5)
        return first, all_rows(sql)

    assert database.read(twice).result(5) == ([], [])
    assert database.read(all_rows).result(5) == [7]
    with pytest.raises(StoreError, match=r"readonly|read-only"):
        database.read(put(8)).result(5)
    assert database.read(all_rows).result(5) == [7]


def test_closing_finishes_what_is_queued_and_refuses_what_comes_after(empty: Home) -> None:
    database = empty.database(table)
    gate = Gate(database)
    job = database.write(put(1))
    closing = threading.Thread(target=database.close)
    closing.start()
    gate.open()
    closing.join(5)
    assert job.result(0) == 1
    database.close()
    for submit in (database.write, database.read):
        with pytest.raises(StoreError, match="is closed; nothing was read or written"):
            submit(all_rows)


def test_a_preparation_that_raises_leaves_everything_as_it_was(empty: Home) -> None:
    def broken(sql: Sql) -> None:
        sql.run("CREATE TABLE half (n BIGINT)")
        raise StoreError("no")

    with pytest.raises(StoreError, match="no") as told:
        empty.database(broken)
    assert told.value.__traceback__ is not None
    # At once, while the error is still held: neither the half transaction nor a lock is left behind.
    database = empty.database(lambda sql: (table(sql), sql.run("CREATE TABLE half (n BIGINT)")))
    assert database.read(all_rows).result(5) == []
    database.close()


def test_two_that_are_open_at_once_lose_no_update(empty: Home) -> None:
    databases = [empty.database(table) for _ in range(2)]
    databases[0].write(put(0)).result(5)
    jobs = [
        databases[n % 2].write(lambda sql: sql.run("UPDATE t SET n = n + 1")) for n in range(100)
    ]
    assert [job.result(20) for job in jobs] == [1] * 100
    assert [database.read(all_rows).result(5) for database in databases] == [[100], [100]]
    for database in databases:
        database.close()
