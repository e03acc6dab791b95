"""How is a SQLite file written and read by many processes?

Writes: a kernel `flock` is held from before BEGIN to after COMMIT, and whoever gives it back lets the next one in.
SQLite's own busy handler sleeps and starves (single waits of 0.6 to 4 s were measured with four writers). The lock also
keeps the checkpoint inside COMMIT and CLOSE away from other writers: SQLite before 3.51.3 can corrupt a file when the
two meet (the WAL-reset bug). Reads: a read-only connection, a WAL snapshot each.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from drivers.store.database import PATIENCE_S, Database, Taken
from drivers.store.sql import Row, Sql, Value, numbered
from governance.errors import StoreError

T = TypeVar("T")

_PAUSE_S = 0.005


def sqlite_database(
    path: Path, prepare: Callable[[Sql], None], patience_s: float = PATIENCE_S
) -> Database:
    """The database in a file, which is made when it is not there. Raises `StoreError`."""
    try:
        writer = SqliteWriter(path, patience_s)
    except (OSError, sqlite3.Error) as error:
        raise _broken(path, patience_s, error) from error
    return Database(str(path), writer, lambda: SqliteReader(path, patience_s), prepare)


class SqliteSql:
    """Our statements on a SQLite connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        # Rows are dicts: `sqlite3.Row` looks for a name among all of them, and a seal is over twenty.
        self._connection = connection

    def all(self, statement: str, /, **values: Value) -> Sequence[Row]:
        """Every row the statement gives."""
        cursor = self._do(statement, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def one(self, statement: str, /, **values: Value) -> Row | None:
        """The first row, or None."""
        cursor = self._do(statement, values)
        row = cursor.fetchone()
        if row is None:
            return None
        return dict(zip([column[0] for column in cursor.description], row, strict=True))

    def run(self, statement: str, /, **values: Value) -> int:
        """How many rows the statement changed."""
        return self._do(statement, values).rowcount

    def _do(self, statement: str, values: dict[str, Value]) -> sqlite3.Cursor:
        # By number: SQLite looks a name up among all the names before it, for each value.
        text, names = numbered(statement, "?")
        return self._connection.execute(text, [values[name] for name in names])


class FileLock:
    """A lock between processes, given back by the kernel when its holder dies. Its two files stay for ever.

    Whoever waits for it stands in the gate meanwhile, so that nobody who comes later goes before: the one that has just
    given it back is awake, and would take it again and again.
    """

    def __init__(self, path: Path) -> None:
        """`path` names the file that is locked; the gate is beside it."""
        how = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(path, how, 0o600)
        self._gate = os.open(path.with_name(path.name + ".gate"), how, 0o600)

    def take(self, *, wait: bool) -> None:
        """Raises `Taken` where another process has it, or waits for it, and it is not to wait."""
        how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.flock(self._gate, how)
            try:
                fcntl.flock(self._file, how)
            finally:
                fcntl.flock(self._gate, fcntl.LOCK_UN)
        except BlockingIOError:
            raise Taken from None

    def give(self) -> None:
        """Others may have it."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.take(wait=True)

    def __exit__(self, *_: object) -> None:
        self.give()

    def close(self) -> None:
        """Give the files back."""
        os.close(self._file)
        os.close(self._gate)


class _SqliteConnection(SqliteSql):
    def __init__(self, path: Path, patience_s: float, *, mode: str) -> None:
        self._path, self._patience_s = path, patience_s
        # The connection is used by one thread at a time; the timeout only meets programs that are not ours.
        super().__init__(
            sqlite3.connect(
                f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None,
                check_same_thread=False, timeout=patience_s, cached_statements=256,
            )
        )  # fmt: skip

    def told(self, error: Exception) -> Exception:
        return (
            _broken(self._path, self._patience_s, error)
            if isinstance(error, sqlite3.Error)
            else error
        )

    def close(self) -> None:
        self._connection.close()


class SqliteReader(_SqliteConnection):
    """A read-only connection to a file that is there."""

    def __init__(self, path: Path, patience_s: float) -> None:
        super().__init__(path, patience_s, mode="ro")

    def look(self, work: Callable[[Sql], T]) -> T:
        """Do the work on one snapshot of what is committed."""
        self._connection.execute("BEGIN")
        try:
            return work(self)
        finally:
            self._connection.execute("COMMIT")


class SqliteWriter(_SqliteConnection):
    """The connection that writes, under the lock between processes."""

    def __init__(self, path: Path, patience_s: float) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._lock: FileLock | None = FileLock(path.with_name(path.name + ".lock"))
        try:
            super().__init__(path, patience_s, mode="rw")
        except BaseException:
            self._lock.close()
            raise
        try:
            with self._lock:
                self._make_durable()
        except BaseException:
            self.close()
            raise

    @property
    def in_transaction(self) -> bool:
        """Whether one is open; SQLite ends it by itself where the disk is full."""
        return self._connection.in_transaction

    @property
    def at_once(self) -> bool:
        """Any thread may use it."""
        return True

    @contextmanager
    def writing(self, *, wait: bool = True) -> Generator[None]:
        """A transaction under the lock."""
        assert self._lock is not None
        self._lock.take(wait=wait)
        try:
            self._begin(wait=wait)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        finally:
            self._lock.give()

    def _begin(self, *, wait: bool) -> None:
        """Only a program that is not ours can be met here: it does not take the lock."""
        until = time.monotonic() + self._patience_s
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if not _busy(error) or (wait and time.monotonic() > until):
                    raise
                if not wait:
                    raise Taken from None
                time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Let go of the file, under the lock: the last one to close it makes a checkpoint."""
        if self._lock is not None:
            with self._lock:
                super().close()
            self._lock.close()
            self._lock = None

    def _make_durable(self) -> None:
        mode = self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"store '{self._path}' is on a file system without shared memory (journal mode {mode!r}, "
                "needed 'wal'). Put it on a local disk."
            )
        self._connection.execute("PRAGMA synchronous = FULL")
        # From here on `_begin` waits, so that it can be told not to.
        self._connection.execute("PRAGMA busy_timeout = 0")


def _broken(path: Path, patience_s: float, error: Exception) -> StoreError:
    if _busy(error):
        return StoreError(
            f"store '{path}' was held by another program for longer than {patience_s:g} s, and "
            f"nothing was written. Look what else has it open (`fuser -v {path}`), and end that."
        )
    return StoreError(
        f"store '{path}' cannot be used: {error}. Look at the disk and the file's rights."
    )


def _busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
