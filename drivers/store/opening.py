"""Which store does a URL name, and is it open in this process already?"""

import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

from drivers.blobs import DirectoryBlobs
from drivers.store.connection import Database
from drivers.store.sql import Sql
from drivers.store.sqlite import SqliteStore
from governance.errors import StoreError
from governance.ports import Blobs

_open: dict[Path, tuple[str, SqliteStore]] = {}
_gate = threading.Lock()


def open_store(url: str, blobs: Blobs) -> SqliteStore:
    """A store of its own, brought up to date. Raises `StoreError` (newer database, no right, unknown URL)."""
    return SqliteStore(Database(path_of(url), _prepare), blobs)


def store_at(url: str, blobs: str) -> SqliteStore:
    """The one store this process has at `url`, with its blobs in the directory `blobs`; opened on first use."""
    path = path_of(url)
    with _gate:
        if path not in _open or not _open[path][1].connected:
            _open[path] = (blobs, open_store(url, DirectoryBlobs(Path(blobs))))
        directory, store = _open[path]
    if directory != blobs:
        raise StoreError(
            f"store '{path}' is open with its blobs in {directory!r}, not in {blobs!r}. One store has "
            "one directory of blobs."
        )
    return store


def path_of(url: str) -> Path:
    """The file a URL names. Raises `StoreError` for what is no store of this version."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise StoreError(
            f"a store at {parts.scheme + '://…' if parts.scheme else 'a bare path'} cannot be opened by "
            "this version. Name a file: sqlite:////srv/looprail/store.db."
        )
    # Both spellings in use name the absolute path: three slashes as in a URL, four as in SQLAlchemy.
    return Path("/" + unquote(parts.path).lstrip("/"))


def _prepare(sql: Sql) -> None:
    # SQLAlchemy is needed only here, to spell the schema; it costs a third of a second.
    from sqlalchemy.dialects import sqlite

    from drivers.store.migrations import migrate

    migrate(sql, sqlite.dialect())
