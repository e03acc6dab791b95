"""Which store does a URL name, and is it open in this process already?"""

import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from drivers.blobs import DirectoryBlobs
from drivers.store.connection import sqlite_database
from drivers.store.database import Database
from drivers.store.sql import Sql
from drivers.store.store import SqlStore
from governance.errors import StoreError
from governance.ports import Blobs

POSTGRES = ("postgresql", "postgres")
_EXAMPLES = "sqlite:////srv/looprail/store.db or postgresql://user:password@host/database"

_open: dict[str, tuple[str, SqlStore]] = {}
_gate = threading.Lock()


def open_store(url: str, blobs: Blobs) -> SqlStore:
    """A store of its own, brought up to date. Raises `StoreError` (newer database, no right, unknown URL)."""
    return SqlStore(_database(url), blobs)


def store_at(url: str, blobs: str) -> SqlStore:
    """The one store this process has at `url`, with its blobs in the directory `blobs`; opened on first use."""
    place = url if on_postgres(url) else str(path_of(url))
    with _gate:
        if place not in _open or not _open[place][1].connected:
            _open[place] = (blobs, open_store(url, DirectoryBlobs(Path(blobs))))
        directory, store = _open[place]
    if directory != blobs:
        raise StoreError(
            f"store '{store.name}' is open with its blobs in {directory!r}, not in {blobs!r}. One store has "
            "one directory of blobs."
        )
    return store


def on_postgres(url: str) -> bool:
    """Whether the URL names a Postgres database. Raises `StoreError` when it names none of its own."""
    parts = urlsplit(url)
    if parts.scheme not in POSTGRES:
        return False
    if not parts.netloc or not parts.path.strip("/"):
        raise StoreError(
            f"a store at {parts.scheme}://… has no host or no database. Name both, such as {_EXAMPLES}."
        )
    return True


def secrets_in(url: str) -> tuple[str, ...]:
    """What of a URL nobody may be shown: all of it and its password, as it is written there and as it is meant."""
    password = urlsplit(url).password
    return (url, password, unquote(password)) if password else ()


def path_of(url: str) -> Path:
    """The file a URL names. Raises `StoreError` for what is no file of ours."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise StoreError(
            f"a store at {parts.scheme + '://…' if parts.scheme else 'a bare path'} cannot be opened by "
            f"this version. Name {_EXAMPLES}."
        )
    # Both spellings in use name the absolute path: three slashes as in a URL, four as in SQLAlchemy.
    return Path("/" + unquote(parts.path).lstrip("/"))


def _database(url: str) -> Database:
    if not on_postgres(url):
        return sqlite_database(path_of(url), _prepare_sqlite)
    # asyncpg is needed only here.
    from drivers.store.postgres import postgres_database

    return postgres_database(url, _prepare_postgres)


# SQLAlchemy is needed only to spell the schema; it costs a third of a second.


def _prepare_sqlite(sql: Sql) -> None:
    from sqlalchemy.dialects import sqlite

    from drivers.store.migrations import migrate

    migrate(sql, sqlite.dialect())


def _prepare_postgres(sql: Sql) -> None:
    from sqlalchemy.dialects import postgresql

    from drivers.store.migrations import migrate

    migrate(sql, postgresql.dialect())
