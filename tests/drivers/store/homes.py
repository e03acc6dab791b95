"""Where does a test's store live: in a file, or in a database of a Postgres server?"""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from demo.postgres import postgres
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from drivers.store.connection import sqlite_database
from drivers.store.database import Database
from drivers.store.postgres import postgres_database
from drivers.store.sql import Sql
from drivers.store.store import SqlStore

_numbers = count(1)


class Home(Protocol):
    """A database of a store's own, and what any program may do with it that is not ours."""

    url: str
    directory: Path

    def open(self) -> SqlStore: ...

    def database(self, prepare: Callable[[Sql], Any]) -> Database:
        """The bare database that a store would be in."""
        ...

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows that a statement gives, committed."""
        ...

    def tamper(self, statement: str) -> None:
        """Change at least one row, behind the store's back."""
        ...


def blobs_in(directory: Path) -> DirectoryBlobs:
    return DirectoryBlobs(directory / "blobs")


@dataclass
class File:
    directory: Path

    @property
    def url(self) -> str:
        return f"sqlite://{self.directory}/store.db"

    def open(self) -> SqlStore:
        return open_store(self.url, blobs_in(self.directory))

    def database(self, prepare: Callable[[Sql], Any]) -> Database:
        return sqlite_database(self.directory / "store.db", prepare)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.directory / "store.db", timeout=10)) as db, db:
            return db.execute(statement).fetchall()

    def tamper(self, statement: str) -> None:
        with closing(sqlite3.connect(self.directory / "store.db", timeout=10)) as db, db:
            assert db.execute(statement).rowcount >= 1


@dataclass
class Cluster:
    """A Postgres server, and the databases that tests have on it."""

    url: str
    """The URL of the database that administrators use."""

    def database(self, name: str) -> str:
        return f"{self.url.rpartition('/')[0]}/{name}"

    def make(self) -> str:
        """The URL of a new database, of a language that does not sort by bytes."""
        name = f"d{next(_numbers)}"
        of = "template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8'"
        told(self.url, f"CREATE DATABASE {name} TEMPLATE {of}")
        return self.database(name)

    def empty(self, url: str) -> None:
        """Leave a store's tables as they were on its first day."""
        tables = ", ".join(
            name
            for (name,) in told(
                url,
                "SELECT tablename FROM pg_tables WHERE schemaname = 'looprail' AND tablename <> 'migrations'",
            )
        )
        first = "INSERT INTO counters (name, value) VALUES ('settled', 0)"
        told_all(url, f"TRUNCATE {tables} RESTART IDENTITY", first)


@contextmanager
def cluster_of_its_own() -> Generator[Cluster]:
    with postgres() as url:
        yield Cluster(url.replace("postgresql+asyncpg://", "postgresql://"))


@dataclass
class OnServer:
    url: str
    directory: Path

    def open(self) -> SqlStore:
        return open_store(self.url, blobs_in(self.directory))

    def database(self, prepare: Callable[[Sql], Any]) -> Database:
        return postgres_database(self.url, prepare)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        return told(self.url, statement)

    def tamper(self, statement: str) -> None:
        assert told(self.url, f"{statement} RETURNING 1")


def told(url: str, statement: str) -> list[tuple[Any, ...]]:
    """The rows that a statement gives."""
    return told_all(url, statement)[0]


def told_all(url: str, *statements: str) -> list[list[tuple[Any, ...]]]:
    """What a program of somebody else's is told; a test may be inside an event loop."""

    async def ask() -> list[list[tuple[Any, ...]]]:
        connection = await asyncpg.connect(url, server_settings={"search_path": "looprail"})
        try:
            return [[tuple(row) for row in await connection.fetch(one)] for one in statements]
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, ask()).result()
