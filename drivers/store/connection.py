"""How is one SQLite file written and read by many tasks, threads and processes?

Writes: one thread per process, which does whatever is queued in one transaction and commits once (group commit).
Between processes a kernel `flock` is held from before BEGIN to after COMMIT. SQLite's own busy handler sleeps
and starves (single waits of 0.6 to 4 s were measured with four writers). The lock also keeps the
checkpoint inside COMMIT and CLOSE away from other writers: SQLite before 3.51.3 can corrupt a file when the two
meet (the WAL-reset bug). Reads: one thread on a read-only connection, a WAL snapshot each.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from drivers.crash import around, point
from drivers.store.sql import Row, Sql, Value
from drivers.store.worker import Job, Worker
from governance.errors import StoreError

T = TypeVar("T")

BATCH = 64
"""Pieces of work that share one commit at most."""

PATIENCE_S = 60.0
"""How long a program that is not ours, and knows nothing of our lock, may hold the file before a write gives up."""


class SqliteSql:
    """Our statements on a SQLite connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        self._connection = connection

    def all(self, statement: str, /, **values: Value) -> Sequence[Row]:
        """Every row the statement gives."""
        return self._connection.execute(statement, values).fetchall()

    def one(self, statement: str, /, **values: Value) -> Row | None:
        """The first row, or None."""
        return self._connection.execute(statement, values).fetchone()

    def run(self, statement: str, /, **values: Value) -> int:
        """How many rows the statement changed."""
        return self._connection.execute(statement, values).rowcount


class FileLock:
    """A lock between processes, given back by the kernel when its holder dies. The file stays for ever."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)


class Database:
    """One SQLite file, open for writing and reading, after `prepare` has brought it up to date."""

    def __init__(
        self, path: Path, prepare: Callable[[Sql], None], patience_s: float = PATIENCE_S
    ) -> None:
        self.path, self._patience_s = path, patience_s
        try:
            with ExitStack() as undo:
                self._lock, self._writer, self._reader = self._open(prepare, undo)
                undo.pop_all()
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error
        name = f"store '{path}'"
        self._writes = Worker(f"{name} (writer)", self._commit, self._close_writer, BATCH)
        self._reads = Worker(f"{name} (reader)", self._look, self._reader.close, 1)

    def write(self, work: Callable[[Sql], T]) -> Future[T]:
        """Do the work in a transaction; its value once that is durable. What it raises undoes it alone."""
        return self._writes.submit(work)

    def read(self, work: Callable[[Sql], T]) -> Future[T]:
        """Do the work on one snapshot of what is committed."""
        return self._reads.submit(work)

    @property
    def closed(self) -> bool:
        """The file was let go of."""
        return self._writes.closed

    def close(self) -> None:
        """Finish what is queued and let go of the file. Safe to repeat."""
        self._reads.close()
        self._writes.close()

    def _open(
        self, prepare: Callable[[Sql], None], undo: ExitStack
    ) -> tuple[FileLock, sqlite3.Connection, sqlite3.Connection]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        undo.callback(lock.close)
        with lock, around("prepare"):
            writer = self._connect(str(self.path))
            undo.callback(writer.close)
            self._make_durable(writer)
            writer.execute("BEGIN IMMEDIATE")
            prepare(SqliteSql(writer))
            point("in-prepare")
            writer.execute("COMMIT")
        reader = self._connect(f"file:{quote(str(self.path))}?mode=ro", uri=True)
        return lock, writer, reader

    def _make_durable(self, writer: sqlite3.Connection) -> None:
        mode = writer.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"store '{self.path}' is on a file system without shared memory (journal mode {mode!r}, "
                "needed 'wal'). Put it on a local disk."
            )
        writer.execute("PRAGMA synchronous = FULL")

    def _close_writer(self) -> None:
        with self._lock:
            self._writer.close()
        self._lock.close()

    def _commit(self, jobs: Sequence[Job]) -> None:
        sql = SqliteSql(self._writer)
        try:
            with self._lock:
                self._writer.execute("BEGIN IMMEDIATE")
                for job in jobs:
                    if job.wanted():
                        self._try(sql, job)
                point("in-commit")
                self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise self._broken(error) from error

    def _try(self, sql: SqliteSql, job: Job) -> None:
        self._writer.execute("SAVEPOINT job")
        try:
            job.ran(job.work(sql))
        except Exception as error:
            # It belongs to the one who asked, the others go on; unless SQLite has undone all of them (disk full).
            if not self._writer.in_transaction:
                raise
            self._writer.execute("ROLLBACK TO job")
            job.broke(self._broken(error) if isinstance(error, sqlite3.Error) else error)
        self._writer.execute("RELEASE job")

    def _look(self, jobs: Sequence[Job]) -> None:
        sql = SqliteSql(self._reader)
        for job in jobs:
            if not job.wanted():
                continue
            self._reader.execute("BEGIN")
            try:
                job.ran(job.work(sql))
            except sqlite3.Error as error:
                raise self._broken(error) from error
            finally:
                self._reader.execute("COMMIT")

    def _broken(self, error: Exception) -> StoreError:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return StoreError(
                f"store '{self.path}' was held by another program for longer than {self._patience_s:g} s, and "
                f"nothing was written. Look what else has it open (`fuser -v {self.path}`), and end that."
            )
        return StoreError(
            f"store '{self.path}' cannot be used: {error}. Look at the disk and the file's rights."
        )

    def _connect(self, name: str, *, uri: bool = False) -> sqlite3.Connection:
        # The connection is made here and used by its thread alone; the timeout only meets programs that are not ours.
        return sqlite3.connect(
            name,
            uri=uri,
            isolation_level=None,
            check_same_thread=False,
            timeout=self._patience_s,
            cached_statements=256,
        )
