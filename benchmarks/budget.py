"""Money for a hundred calls, four hundred asked for by fifty callers at once: who serves how many, and who overshoots?

The callers, their calls and the far side are those of `tests/money`; only what says yes or no differs: our edge and store, a
plain ledger that reserves the worst case or refuses, and a counter that is checked first and added to afterwards.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from drivers.model import AnthropicModel
from governance.errors import Unavailable, Unknown
from governance.prices import cost
from tests.money.callers import TRIES
from tests.money.calls import MODEL, TIMEOUT_S, Call
from tests.money.rounds import Seen, Stage, stage

BUSY_S = 60.0


@dataclass(frozen=True)
class Account:
    """One row in one SQLite file: a cap, what is held and what is spent, in pico-USD."""

    path: Path
    cap: int

    @classmethod
    def opened(cls, path: Path, cap: int) -> "Account":
        """A new one."""
        with closing(sqlite3.connect(path, isolation_level=None)) as sql:
            sql.execute("PRAGMA journal_mode = WAL")
            sql.execute("CREATE TABLE money (cap INTEGER, held INTEGER, spent INTEGER)")
            sql.execute("INSERT INTO money VALUES (?, 0, 0)", (cap,))
        return cls(path, cap)

    async def move(self, held: int, spent: int) -> None:
        """Add to what is held and spent."""
        await self._do(
            "UPDATE money SET held = held + ?, spent = spent + ? RETURNING cap, held, spent", held, spent
        )  # fmt: skip

    async def reserve(self, worst: int) -> bool:
        """Hold it, or not."""
        row = await self._do(
            "UPDATE money SET held = held + ? WHERE held + spent + ? <= cap RETURNING cap, held, spent",
            worst, worst,
        )  # fmt: skip
        return row is not None

    async def spent(self) -> int:
        """What is spent; a call that may have been billed counts at its worst case."""
        row = await self._do("SELECT cap, held, spent FROM money")
        assert row is not None
        return row[2]

    async def _do(self, statement: str, *values: int) -> tuple[int, int, int] | None:
        # Off the event loop: a caller that waits for the disk must not keep another's answer from being read in time.
        return await asyncio.to_thread(self._now, statement, values)

    def _now(self, statement: str, values: tuple[int, ...]) -> tuple[int, int, int] | None:
        with closing(sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_S)) as sql:
            rows = sql.execute(statement, values).fetchall()
        return rows[0] if rows else None


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


async def check_then_add(account: Account, _: Call, send: Callable[[], Any]) -> str:
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
    account, rival = Account(Path(order["account"]), order["cap"]), RIVALS[order["rival"]]
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


async def _rival(on: Stage, name: str, seed: int) -> Seen:
    told = on.round(seed + 1_000 * (1 + list(RIVALS).index(name)), calls_of=seed)
    account = Account.opened(on.home / f"{told.run}.db", told.cap)
    more = {
        "act": "benchmarks.budget:act",
        "account": str(account.path),
        "cap": told.cap,
        "rival": name,
    }
    seen = await told.tell_on([{**order, **more} for order in await told.orders()])
    return replace(seen, end=replace(seen.end, spent=await account.spent()))


async def _measure(rounds: int, on: Stage) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {name: [] for name in ("Looprail", *RIVALS)}
    for seed in range(rounds):
        found["Looprail"].append(await on.tell(seed, kill=False))
        for name in RIVALS:
            found[name].append(await _rival(on, name, seed))
    return found


def show(name: str, told: list[Seen]) -> None:
    """One contender: medians over its rounds, and the worst overshoot."""

    def middle(of: Callable[[Seen], float]) -> float:
        return median(of(seen) for seen in told)

    over = [max(0, seen.bill - seen.cap) / seen.cap for seen in told]
    print(
        f"{name:20}{middle(lambda s: s.counted['served']):8.0f}{100 * middle(lambda s: s.bill / s.cap):9.1f} %"
        f"{100 * median(over):9.1f} %{100 * max(over):9.1f} %{middle(lambda s: s.early):8.0f}"
        f"{middle(lambda s: s.counted['refused'] + s.counted['early']):9.0f}{middle(lambda s: s.counted['given up']):7.0f}"
        f"{middle(lambda s: s.seconds):8.2f}"
    )


def main() -> None:
    """Each contender in turn, round after round, over the same draws."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    told = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="looprail-budget-") as home,
        stage(f"sqlite://{home}/store.db", Path(home)) as on,
    ):
        found = asyncio.run(_measure(told.rounds, on))
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, {told.rounds} rounds each in "
        f"{time.monotonic() - began:.0f} s; medians of a round of 400 calls\n"
    )
    print(
        f"{'':20}{'served':>8}{'billed':>11}{'over':>11}{'worst':>11}{'early':>8}{'refused':>9}{'lost':>7}{'s':>8}"
    )
    for name, seen in found.items():
        show(name, seen)


if __name__ == "__main__":
    main()
