"""Where is the ledger that is measured: in a file, or in a database of a Postgres server?"""

import sqlite3
import tempfile
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from demo.postgres import postgres
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from drivers.store.connection import FileLock
from drivers.store.postgres import WRITER
from drivers.store.postgres_sql import PostgresSql
from drivers.store.sql import Value, numbered
from drivers.store.store import SqlStore

On = Literal["sqlite", "postgres"]

PATIENCE_S = 120.0


class Bare(Protocol):
    """One connection of the database's own driver."""

    def write(self, statements: Iterable[str], row: dict[str, Value]) -> None:
        """All of them in one transaction, durable when this returns."""
        ...


@dataclass(frozen=True)
class Home:
    """A store's URL, and the directory of its blobs; any process can open it."""

    on: On
    url: str
    blobs: Path

    def open(self) -> SqlStore:
        """The store, as a process of ours has it."""
        return open_store(self.url, DirectoryBlobs(self.blobs))

    @property
    def file(self) -> Path:
        """Of SQLite."""
        return Path(self.url.removeprefix("sqlite://"))

    def bare(self, *, fair: bool) -> Bare:
        """The database without us; `fair` for one process at a time, whoever asks first, by the means that we use."""
        if self.on == "sqlite":
            return _BareSqlite(self.file, fair)
        return _BarePostgres(self.url, fair)


class _BareSqlite:
    def __init__(self, path: Path, fair: bool) -> None:
        self._sql = sqlite3.connect(
            path, isolation_level=None, timeout=PATIENCE_S, cached_statements=256
        )
        self._sql.execute("PRAGMA synchronous = FULL")
        self._lock: AbstractContextManager[None] = nullcontext()
        if fair:
            self._lock = FileLock(path.with_name(path.name + ".lock"))

    def write(self, statements: Iterable[str], row: dict[str, Value]) -> None:
        with self._lock:
            self._sql.execute("BEGIN IMMEDIATE")
            for statement in statements:
                text, names = numbered(statement, "?")
                self._sql.execute(text, [row[name] for name in names])
            self._sql.execute("COMMIT")


class _BarePostgres(PostgresSql):
    def __init__(self, url: str, fair: bool) -> None:
        super().__init__(
            url, PATIENCE_S, patient=True, settings={"synchronous_commit": "on", "deadlock_timeout": "100ms"},
        )  # fmt: skip
        self._begin = "BEGIN"
        if fair:
            self._begin += f"; SELECT pg_advisory_xact_lock({WRITER})"
        self.connect()

    def write(self, statements: Iterable[str], row: dict[str, Value]) -> None:
        self.say(self._begin)
        for statement in statements:
            self.say(statement, **row)
        self.say("COMMIT")


@contextmanager
def home(on: On, directory: Path | None) -> Generator[Home]:
    """An empty store, gone when this ends."""
    with tempfile.TemporaryDirectory(prefix="looprail-ledger-", dir=directory) as place:
        blobs = Path(place) / "blobs"
        if on == "sqlite":
            made = Home(on, f"sqlite://{place}/store.db", blobs)
            made.open().disconnect()
            yield made
            return
        with postgres(durable=True) as url:
            made = Home(on, url.replace("postgresql+asyncpg://", "postgresql://"), blobs)
            made.open().disconnect()
            yield made
