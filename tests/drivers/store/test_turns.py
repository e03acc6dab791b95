"""On whose thread is a transaction made, and does an event loop ever wait for somebody else's?"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from drivers.store.connection import FileLock, sqlite_database
from drivers.store.database import BATCH, Database
from drivers.store.sql import Sql
from drivers.store.turns import QUICK_S
from governance.errors import StoreError
from tests.drivers.store.homes import Home
from tests.drivers.store.opened import Gate, all_rows, put, table


@pytest.fixture
def database(empty: Home) -> Iterator[Database]:
    opened = empty.database(table)
    yield opened
    opened.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Database]:
    """A database in a file, whose last transaction was a short one."""
    opened = sqlite_database(tmp_path / "d.db", table)
    short(opened)
    yield opened
    opened.close()


def short(database: Database) -> None:
    """Make transactions until the last one was short, whatever else this machine does."""
    while True:
        began = time.monotonic()
        database.write(lambda sql: None).result(5)
        if time.monotonic() - began < QUICK_S:
            return


def thread(_: Sql) -> int:
    return threading.get_ident()


def number(sql: Sql) -> int:
    """How many rows there are, and one more."""
    count = len(all_rows(sql))
    put(count)(sql)
    return count


async def test_what_tasks_ask_for_in_one_round_is_written_at_once_on_their_thread(
    file: Database,
) -> None:
    here = threading.get_ident()
    threads = await asyncio.gather(*(file.written(thread) for _ in range(20)))
    assert threads == [here] * 20


async def test_what_tasks_ask_for_in_one_round_shares_one_commit(
    file: Database, tmp_path: Path
) -> None:
    log = tmp_path / "d.db-wal"
    before = log.stat().st_size
    assert await asyncio.gather(*(file.written(put(n)) for n in range(50))) == [1] * 50
    assert log.stat().st_size - before < 10 * 4200, "with a commit each it would be fifty pages"
    assert await file.looked(all_rows) == list(range(50))


async def test_more_than_one_batch_at_once_holds_no_loop_up(file: Database) -> None:
    threads = await asyncio.gather(*(file.written(thread) for _ in range(BATCH + 1)))
    assert threading.get_ident() not in threads


async def test_behind_another_process_the_loop_goes_on(file: Database, tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "d.db.lock")
    lock.take(wait=True)
    asked = asyncio.ensure_future(file.written(thread))
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert not asked.done()
    lock.give()
    assert await asyncio.wait_for(asked, 5) != threading.get_ident()
    lock.close()


async def test_behind_a_program_that_takes_no_lock_of_ours_the_loop_goes_on(
    file: Database, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "d.db", isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        asked = asyncio.ensure_future(file.written(put(1)))
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert not asked.done()
        foreign.execute("ROLLBACK")
    assert await asyncio.wait_for(asked, 5) == 1


async def test_behind_a_thread_of_its_own_process_the_loop_goes_on(file: Database) -> None:
    gate = Gate(file)
    asked = asyncio.ensure_future(file.written(number))
    await asyncio.sleep(0.05)
    assert not asked.done()
    gate.open()
    assert await asyncio.wait_for(asked, 5) == 0


async def test_after_a_long_transaction_the_next_one_holds_no_loop_up(file: Database) -> None:
    file.write(lambda sql: time.sleep(2 * QUICK_S)).result(5)
    assert await file.written(thread) != threading.get_ident()
    short(file)
    assert await file.written(thread) == threading.get_ident()


async def test_work_that_raises_in_a_round_is_undone_alone(database: Database) -> None:
    def half(sql: Sql) -> None:
        put(9)(sql)
        raise LookupError("mine")

    asked = (database.written(put(0)), database.written(half), database.written(number))
    first, broken, last = await asyncio.gather(*asked, return_exceptions=True)
    assert (first, last) == (1, 1)
    assert isinstance(broken, LookupError)
    assert await database.looked(all_rows) == [0, 1]


async def test_a_task_that_left_before_its_turn_changes_nothing(database: Database) -> None:
    asked = asyncio.ensure_future(database.written(put(1)))
    gone = asyncio.ensure_future(database.written(put(2)))
    gate = Gate(database)
    late = asyncio.ensure_future(database.written(put(3)))
    await asyncio.sleep(0)
    late.cancel()
    gate.open()
    assert await asyncio.gather(asked, gone) == [1, 1]
    assert await database.looked(all_rows) == [1, 2]


def test_loops_of_many_threads_write_beside_each_other(database: Database) -> None:
    async def many(start: int) -> None:
        for n in range(0, 50, 5):
            await asyncio.gather(*(database.written(put(start + n + k)) for k in range(5)))

    def run(start: int) -> None:
        asyncio.run(many(start))

    threads = [threading.Thread(target=run, args=(s * 50,)) for s in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert database.read(all_rows).result(5) == list(range(200))


async def test_a_database_that_is_closed_tells_a_task_so(empty: Home) -> None:
    database = empty.database(table)
    database.close()
    for ask in (database.written, database.looked):
        with pytest.raises(StoreError, match="is closed; nothing was read or written"):
            await ask(all_rows)
