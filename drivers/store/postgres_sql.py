"""How are our statements spoken to Postgres, by a thread that simply waits for each answer?

The one connection lives on an event loop of its own, which runs only while a statement is under way.
"""

import asyncio
import re
import time
from collections.abc import Coroutine, Sequence
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg import exceptions

from drivers.store.sql import Row, Value, numbered
from governance.errors import StoreError

T = TypeVar("T")

SCHEMA = "looprail"
"""Our tables have a schema of their own: the database may be shared, and Postgres lets not everybody into `public`."""

CONNECT_S = 10
_PAUSE_S = 0.2

_TEXT = re.compile(r"\bTEXT\b")

_AWAY = (
    OSError, exceptions.PostgresConnectionError, exceptions.AdminShutdownError,
    exceptions.CrashShutdownError, exceptions.CannotConnectNowError,
)  # fmt: skip
OF_POSTGRES = (exceptions.PostgresError, exceptions.InterfaceError, OSError)
"""What a statement or a connection may raise."""


@lru_cache(maxsize=2048)
def spoken(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement as Postgres understands it, and the names of its values in order."""
    text, names = numbered(statement, "$")
    if statement.lstrip().startswith(("CREATE TABLE", "ALTER TABLE")):
        # SQLite compares text by its bytes, and so must we, whatever language the database was made for.
        text = _TEXT.sub('TEXT COLLATE "C"', text)
    return text, names


class PostgresSql:
    """Our statements on one connection, which is made when it is needed and made again when it is gone."""

    def __init__(
        self, url: str, patience_s: float, *, patient: bool, settings: dict[str, str]
    ) -> None:
        """`patient`: a server that is away is waited for from the first; else only one that was there before."""
        self._url, self._patience_s, self._settings = url, patience_s, settings
        parts = urlsplit(url)
        self.name = f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._loop = asyncio.new_event_loop()
        self._connection: Any = None
        self._patient = patient

    def all(self, statement: str, /, **values: Value) -> Sequence[Row]:
        """Every row the statement gives."""
        text, names = spoken(statement)
        return self._wait(self._connection.fetch(text, *[values[name] for name in names]))

    def one(self, statement: str, /, **values: Value) -> Row | None:
        """The first row, or None."""
        text, names = spoken(statement)
        return self._wait(self._connection.fetchrow(text, *[values[name] for name in names]))

    def run(self, statement: str, /, **values: Value) -> int:
        """How many rows the statement changed; 0 where that is no question."""
        count = self.say(statement, **values).rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    def say(self, statement: str, /, **values: Value) -> str:
        """What Postgres says it did: `UPDATE 3`, `COMMIT`."""
        text, names = spoken(statement)
        return self._wait(self._connection.execute(text, *[values[name] for name in names]))

    @property
    def in_transaction(self) -> bool:
        """Whether one is open that can still be gone on with, or undone in part."""
        return self.connected and self._connection.is_in_transaction()

    @property
    def connected(self) -> bool:
        """Whether there is a connection that nobody knows to be lost."""
        return self._connection is not None and not self._connection.is_closed()

    def lost(self, error: Exception) -> bool:
        """Whether the error says that the connection is gone, and its transaction with it."""
        return isinstance(error, _AWAY) or not self.connected

    def connect(self) -> None:
        """See to it that there is a connection. Raises `StoreError`."""
        until = time.monotonic() + (self._patience_s if self._patient else 0)
        while not self.connected:
            self.drop()
            try:
                self._wait(self._open())
                self._patient = True
            except (*OF_POSTGRES, ValueError) as error:
                if not isinstance(error, _AWAY) or time.monotonic() > until:
                    raise StoreError(
                        f"store '{self.name}' cannot be reached: {error or type(error).__name__}; nothing was "
                        "written. See that Postgres is up, and that the URL and the role's rights are right."
                    ) from error
                time.sleep(_PAUSE_S)

    def drop(self) -> None:
        """Let go of a connection without a word."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
            self._wait(asyncio.sleep(0))

    def close(self) -> None:
        """End the connection, and the loop it lives on. Safe to repeat."""
        if self._loop.is_closed():
            return
        if self.connected:
            try:
                self._wait(self._connection.close(timeout=CONNECT_S))
            except OF_POSTGRES:
                self.drop()
        self._loop.close()

    async def _open(self) -> None:
        connection: Any = await asyncpg.connect(
            self._url, timeout=CONNECT_S, statement_cache_size=512, max_cached_statement_lifetime=0,
            # The server gives up on a lock first; this is for one that does not answer any more.
            command_timeout=2 * self._patience_s,
            server_settings={
                "application_name": "looprail", "search_path": SCHEMA, "client_min_messages": "warning",
                "jit": "off", "tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3", **self._settings,
            },
        )  # fmt: skip
        # A sum of BIGINTs is NUMERIC in Postgres, and a whole number here.
        await connection.set_type_codec(
            "numeric", schema="pg_catalog", encoder=str, decoder=int, format="text"
        )
        self._connection = connection

    def _wait(self, under_way: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(under_way)
