"""What else says yes or no to a call that costs money: a ledger that reserves or refuses, a counter that is checked first?

Each keeps one row in a database of the kind that ours is measured on, and is asked by the same callers.
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from drivers.model import AnthropicModel
from governance.errors import Unavailable, Unknown
from governance.prices import cost
from tests.money.callers import TRIES
from tests.money.calls import MODEL, TIMEOUT_S, Call

BUSY_S = 60.0
_TABLE = "CREATE TABLE {name} (cap BIGINT, held BIGINT, spent BIGINT)"
_FIRST = "INSERT INTO {name} VALUES ({cap}, 0, 0)"
_MOVE = "UPDATE {name} SET held = held + {held}, spent = spent + {spent}"
_RESERVE = "UPDATE {name} SET held = held + {held} WHERE held + spent + {held} <= cap RETURNING cap"
_SPENT = "SELECT spent FROM {name}"

Found = list[tuple[Any, ...]]


class Database(Protocol):
    """Where the row is. Statements are made of our own numbers."""

    async def do(self, *statements: str) -> Found:
        """Each committed by itself; the rows of the last one."""
        ...


@dataclass(frozen=True)
class File:
    """A SQLite file."""

    path: Path

    async def do(self, *statements: str) -> Found:
        """Off the event loop: a caller that waits for the disk must not keep another's answer from being read."""
        return await asyncio.to_thread(self._now, statements)

    def _now(self, statements: tuple[str, ...]) -> Found:
        found: Found = []
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_S)) as sql:
            sql.execute("PRAGMA journal_mode = WAL")
            for statement in statements:
                found = sql.execute(statement).fetchall()
        return found


class Server:
    """A Postgres database, with as many connections as a process of ours has."""

    CONNECTIONS = 2

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncio.Task[Any] | None = None

    async def do(self, *statements: str) -> Found:
        """One connection for all of them."""
        if self._pool is None:
            self._pool = asyncio.ensure_future(self._connected())
        found: Found = []
        async with (await self._pool).acquire() as connection:
            for statement in statements:
                found = [tuple(row) for row in await connection.fetch(statement)]
        return found

    async def _connected(self) -> Any:
        return await asyncpg.create_pool(self._url, min_size=1, max_size=self.CONNECTIONS)


def database(url: str) -> Database:
    """The one at a store's URL: a file beside its own, or its server."""
    return File(Path(url.removeprefix("sqlite://"))) if url.startswith("sqlite") else Server(url)


@dataclass(frozen=True)
class Account:
    """One row: a cap, what is held and what is spent, in pico-USD."""

    database: Database
    name: str
    cap: int

    async def open(self) -> None:
        """Make it."""
        first = _FIRST.format(name=self.name, cap=self.cap)
        await self.database.do(_TABLE.format(name=self.name), first)

    async def move(self, held: int, spent: int) -> None:
        """Add to what is held and spent."""
        await self.database.do(_MOVE.format(name=self.name, held=held, spent=spent))

    async def reserve(self, worst: int) -> bool:
        """Hold it, or not."""
        return bool(await self.database.do(_RESERVE.format(name=self.name, held=worst)))

    async def spent(self) -> int:
        """What is spent; a call that may have been billed counts at its worst case."""
        ((spent,),) = await self.database.do(_SPENT.format(name=self.name))
        return spent


async def reserve_or_refuse(account: Account, call: Call, send: Callable[[], Any]) -> str:
    """What is held counts as gone, until the call is settled; nobody waits."""
    for _ in range(TRIES):
        if not await account.reserve(call.worst):
            return "early" if call.worst <= account.cap - await account.spent() else "refused"
        try:
            paid = await send()
        except Unavailable:
            await account.move(-call.worst, 0)
            continue
        except Unknown:
            await account.move(-call.worst, call.worst)
            continue
        await account.move(-call.worst, paid)
        return "served"
    return "given up"


async def check_then_add(account: Account, _call: Call, send: Callable[[], Any]) -> str:
    """Nothing is held: whoever asks while money is left may spend, and tells afterwards what it was."""
    for _ in range(TRIES):
        if await account.spent() >= account.cap:
            return "refused"
        try:
            paid = await send()
        except (Unavailable, Unknown):
            continue
        await account.move(0, paid)
        return "served"
    return "given up"


RIVALS = {"reserve or refuse": reserve_or_refuse, "check, then add": check_then_add}


def act(order: dict[str, Any]) -> None:
    """One process of callers at a rival; the crowd calls it."""
    asyncio.run(_act(order))


async def _act(order: dict[str, Any]) -> None:
    model = AnthropicModel(f"{order['provider']}/{order['run']}", "a-key-of-nobody")
    rival = RIVALS[order["rival"]]
    account = Account(database(order["accounts"]), order["account"], order["cap"])
    told = os.open(order["told"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def send(call: Call) -> int:
        reply = await model.reply(call.request, timeout_s=TIMEOUT_S)
        return cost(reply.usage, MODEL, 0) or 0

    async def caller(calls: list[dict[str, Any]]) -> None:
        for values in calls:
            call = Call.told({k: v for k, v in values.items() if k != "item"})
            outcome = await rival(account, call, partial(send, call))
            os.write(told, f"{json.dumps({'call': call.name, 'outcome': outcome})}\n".encode())

    await asyncio.gather(*(caller(calls) for calls in order["callers"]))
