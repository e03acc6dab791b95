"""Who holds the connection to a server, and when is it made anew?

The SDK's client must be entered and left by one task, and its death cancels that task (mcp 2.3.0). So every
connection has an owner task of its own, which does nothing else; requests run in the tasks of their callers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from drivers.mcp.exchange import CURRENT, Exchange
from governance.errors import DriverError, Rejected, Unavailable

if TYPE_CHECKING:
    from mcp.client import ClientSession, Transport

    class Link(Transport, Protocol):
        """The streams of one connection, and what is known about it."""

        closed: bool

        def last_words(self) -> str:
            """What is known about its end; empty when nothing is."""
            ...


_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 30.0
_PROBE_S = 5.0
_LEAVE_S = 10.0


@dataclass(eq=False)
class Connection:
    """One negotiated session with the task that owns it."""

    session: ClientSession
    link: Link
    owner: asyncio.Task[None]
    leave: asyncio.Event
    suspect: bool = False
    """A request on it timed out: it is asked for a sign of life before it is used again."""

    @property
    def alive(self) -> bool:
        """Whether a request can still be sent on it."""
        return not (self.owner.done() or self.link.closed or self.leave.is_set())


@dataclass(repr=False)
class Upstream:
    """The one server of a connector, at most one connection to it at a time."""

    subject: str
    new_link: Callable[[], Link]
    connect_s: float
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _held: Connection | None = None
    _owners: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _pause_s: float = 0.0
    _not_before: float = 0.0
    _failure: DriverError | None = None

    async def connection(self) -> Connection:
        """A live connection, made if need be. Raises `Unavailable`, `Rejected`."""
        async with self._lock:
            held = self._held
            if held and held.alive and (not held.suspect or await _answers(held)):
                return held
            if held:
                self.drop(held)
            self._check_pause()
            try:
                self._held = await self._connect()
            except DriverError as failure:
                self._pause_s = min(max(_FIRST_PAUSE_S, 2 * self._pause_s), _LONGEST_PAUSE_S)
                self._not_before = asyncio.get_running_loop().time() + self._pause_s
                self._failure = failure
                raise
            self._pause_s, self._failure = 0.0, None
            return self._held

    def drop(self, connection: Connection) -> None:
        """Never use this connection again; requests still on it end as unanswered."""
        connection.leave.set()

    async def close(self) -> None:
        """End every connection. Bounded; safe to repeat."""
        if self._held:
            self._held.leave.set()
        if self._owners:
            await asyncio.wait(self._owners, timeout=_LEAVE_S)
        for owner in self._owners:
            owner.cancel()
        if self._owners:
            await asyncio.wait(self._owners, timeout=_LEAVE_S)

    def _check_pause(self) -> None:
        left = self._not_before - asyncio.get_running_loop().time()
        if self._failure and left > 0:
            raise type(self._failure)(self.subject, self._failure.detail, left)

    async def _connect(self) -> Connection:
        link, leave, exchange = self.new_link(), asyncio.Event(), Exchange()
        ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        # A context of its own: the connection outlives the call, run and trace it was first needed for.
        owner = asyncio.create_task(_own(link, ready, leave, exchange), context=Context())
        self._owners.add(owner)
        owner.add_done_callback(self._owners.discard)
        owner.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait(
                {ready, owner}, timeout=self.connect_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            if not ready.done():
                owner.cancel()
        if ready.done():
            return Connection(ready.result(), link, owner, leave)
        if not owner.done():
            raise Unavailable(self.subject, f"did not answer within {self.connect_s:g} s")
        raise _why(self.subject, owner, link, exchange)


async def _own(
    link: Link, ready: asyncio.Future[ClientSession], leave: asyncio.Event, exchange: Exchange
) -> None:
    from mcp.client import Client
    from mcp.types import Implementation

    # The SDK logs message bodies on errors, and bodies may quote a credential.
    for name in ("mcp", "client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    CURRENT.set(exchange)
    info = Implementation(name="looprail", version="0.2.0")
    async with Client(link, mode="auto", cache=None, client_info=info) as client:
        ready.set_result(client.session)
        await leave.wait()


async def _answers(connection: Connection) -> bool:
    from mcp.shared.exceptions import MCPError

    exchange = Exchange()
    token = CURRENT.set(exchange)
    try:
        async with asyncio.timeout(_PROBE_S):
            await connection.session.list_tools()
    except TimeoutError:
        return False
    except MCPError:
        connection.suspect = exchange.verdict is not None
        return not connection.suspect
    finally:
        CURRENT.reset(token)
    connection.suspect = False
    return True


def _why(subject: str, owner: asyncio.Task[None], link: Link, exchange: Exchange) -> DriverError:
    error = None if owner.cancelled() else owner.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, DriverError):
        return error
    if isinstance(exchange.verdict, Rejected):
        return exchange.verdict
    if isinstance(exchange.verdict, DriverError):
        return Unavailable(subject, exchange.verdict.detail, exchange.verdict.retry_after_s)
    words = link.last_words() if link.closed else ""
    return Unavailable(subject, f"no MCP session: {words or error or type(error).__name__}")
