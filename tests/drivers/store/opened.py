"""A database with one table, and a writer that can be held inside a piece of work."""

import fcntl
import threading
import time
from pathlib import Path

from drivers.store.database import Database
from drivers.store.sql import Sql


def table(sql: Sql) -> None:
    sql.run("CREATE TABLE IF NOT EXISTS t (n BIGINT PRIMARY KEY)")


def put(n: int):
    return lambda sql: sql.run("INSERT INTO t (n) VALUES (:n)", n=n)


def all_rows(sql: Sql) -> list[int]:
    return [row["n"] for row in sql.all("SELECT n FROM t ORDER BY n")]


class Gate:
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


def until_waited_for(gate: Path) -> None:
    """Somebody stands in it."""
    with gate.open() as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(0.001)
