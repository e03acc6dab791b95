"""Fifty callers in four processes ask for four times what there is money for: what did they and the far side do?

`python -m tests.money.rounds --rounds 300` tells as many rounds as you like, and what was seen.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from demo.world import ROOT
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from governance.memory import Store
from governance.parts import short_id
from governance.records import Budget, Finding, LedgerRow
from tests.money.callers import LEASE_MS, LOOP, now_ms
from tests.money.calls import Call, draw
from tests.money.crowd import Crowd
from tests.money.watching import Passed, Watch, watching

CALLERS, PROCESSES, CALLS, MONEY_FOR = 50, 4, 400, 100
LOOK_S, SWEEP_S = 0.003, 0.1
KILL_LOOKS = 50
"""So often is looked for a process that holds money before any is killed."""
TOP_S = 5
"""How far `loops top` may be behind."""
ACT = "tests.money.callers:act"


@dataclass(frozen=True)
class Seen:
    """What one round came to; money in pico-USD."""

    calls: tuple[Call, ...]
    cap: int
    outcomes: dict[str, str]
    """By call: `served`, `refused`, `early` or `given up`."""
    highest: int
    """The most that settled + held + unknown came to at any moment we looked."""
    looks: int
    bill: int
    charges: dict[str, int]
    """What the far side billed for each answer."""
    end: Budget
    rows: tuple[LedgerRow, ...]
    killed: int
    seconds: float
    passed: Passed
    """When settled came to how much."""

    @property
    def counted(self) -> Counter[str]:
        """How many calls had each outcome."""
        return Counter(self.outcomes.values())

    @property
    def early(self) -> int:
        """Calls refused while settled + unknown left room for them: then, or now that all is over."""
        left = self.cap - self.end.spent - self.end.unknown
        return sum(
            self.outcomes[call.name] == "early"
            or (self.outcomes[call.name] == "refused" and call.worst <= left)
            for call in self.calls
        )


@dataclass
class Stage:
    """One store with what stands around it: a far side, and a process that forks callers."""

    url: str
    blobs: str
    provider: str
    crowd: Crowd
    home: Path
    store: Store

    async def tell(self, seed: int, *, count: int = CALLS, kill: bool = True) -> Seen:
        """One round, with money for a quarter of its calls at what they are really billed."""
        told = self.round(seed, count=count)
        return await told.tell_on(await told.orders(), kill=kill)

    def round(self, seed: int, *, calls_of: int | None = None, count: int = CALLS) -> "Round":
        """A round that is still to be told; with `calls_of` its calls are those of another seed."""
        calls = draw(seed if calls_of is None else calls_of, count)
        return Round(self, seed, calls, sum(call.paid for call in calls) * MONEY_FOR // CALLS)

    async def bill(self, account: str) -> dict[str, Any]:
        """The far side's own account."""
        return await self.say("GET", f"{account}/bill")

    async def say(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request to the far side, of ours and not of a caller."""
        host, port = self.provider.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        data = b"" if body is None else json.dumps(body).encode()
        writer.write(
            f"{method} /{path} HTTP/1.1\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.rpartition(b"content-length: ")[2].split(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(length))
        writer.close()
        return answer


@contextmanager
def stage(url: str, home: Path) -> Iterator[Stage]:
    """A store at `url`, a far side, and a crowd; `home` takes blobs and notes."""
    far = subprocess.Popen(
        (sys.executable, "-m", "tests.money.far_side"), cwd=ROOT, text=True, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    blobs = str(home / "blobs")
    store = open_store(url, DirectoryBlobs(Path(blobs)))
    try:
        assert far.stdout is not None
        provider = f"http://127.0.0.1:{int(far.stdout.readline())}"
        with Crowd() as crowd:
            yield Stage(url, blobs, provider, crowd, home, store)
    finally:
        store.disconnect()
        far.kill()
        far.communicate()


@dataclass
class Round:
    """One run with money of its own, and the processes that call for it."""

    stage: Stage
    seed: int
    calls: tuple[Call, ...]
    cap: int
    going: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    """What each process that is under way was told."""
    highest: int = 0
    looks: int = 0
    killed: int = 0
    passed: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    @property
    def run(self) -> str:
        """The run whose money it is, and the far side's account."""
        return f"r{self.seed}"

    async def tell_on(self, orders: list[dict[str, Any]], *, kill: bool = False) -> Seen:
        """Do what is ordered to its end, and look on; with `kill` one of the processes is killed on its way."""
        began = time.monotonic()
        for order in orders:
            self.going[self.stage.crowd.start(order)] = order
        around = [asyncio.create_task(self._look()), asyncio.create_task(self._sweep())]
        if kill:
            around.append(asyncio.create_task(self._kill_one()))
        while self.going:
            await asyncio.sleep(0.005)
            self._bury()
        for task in around:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self.stage.store.sweep(now_ms() + LEASE_MS + 1)
        return await self._seen(time.monotonic() - began)

    async def orders(self) -> list[dict[str, Any]]:
        """What each process is to do; the run is open and its items are found."""
        store, run = self.stage.store, self.run
        await store.open_run(
            run, loop=LOOP, slot=run, flow_run=f"heartbeat-{run}", definition="sha256:d",
            budgets=(Budget(f"run:{run}:usd", run, self.cap),), now=now_ms(),
        )  # fmt: skip
        items = {call.name: short_id("i", LOOP, call.name, run) for call in self.calls}
        findings = tuple((items[c.name], Finding(c.name, c.name, "")) for c in self.calls)
        await store.found(
            run, findings, definition="sha256:d", budgets=(), state=None, summary="", now=now_ms()
        )
        told = [{**_told(call), "item": items[call.name]} for call in self.calls]
        callers = [told[n::CALLERS] for n in range(CALLERS)]
        return [self._order(callers[n::PROCESSES]) for n in range(PROCESSES)]

    def _order(self, callers: list[list[dict[str, Any]]]) -> dict[str, Any]:
        return {
            "url": self.stage.url, "blobs": self.stage.blobs, "provider": self.stage.provider,
            "run": self.run, "told": str(self._notes), "callers": callers, "act": ACT,
        }  # fmt: skip

    @property
    def _notes(self) -> Path:
        return self.stage.home / f"told-{self.run}"

    def _bury(self) -> None:
        for pid in list(self.going):
            code = self.stage.crowd.ended(pid)
            if code is None:
                continue
            order = self.going.pop(pid)
            if code == -signal.SIGKILL:
                # Whoever follows does what is left, as the next life of an item would.
                heard = self._outcomes()
                left = [[c for c in calls if c["name"] not in heard] for calls in order["callers"]]
                follower = self._order(left)
                self.going[self.stage.crowd.start(follower)] = follower
            else:
                assert code == 0, f"callers of round {self.seed} ended with {code}"

    async def _look(self) -> None:
        before, settled = time.monotonic(), 0
        while True:
            began = time.monotonic()
            budget = await self.budget()
            if budget.spent > settled:
                # At some moment since the look before; the earliest is held against whoever shows less.
                self.passed.append((before, budget.spent))
            before, settled = began, budget.spent
            self.highest = max(self.highest, budget.held + budget.spent + budget.unknown)
            self.looks += 1
            await asyncio.sleep(LOOK_S)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            await self.stage.store.sweep(now_ms())

    async def _kill_one(self) -> None:
        """A process that holds money, where one is found to: the others leave nothing behind."""
        random = Random(self.seed)
        while self.highest == 0:
            await asyncio.sleep(LOOK_S)
        await asyncio.sleep(random.uniform(0, 0.4))
        for _ in range(KILL_LOOKS):
            if holding := await self._holding():
                break
            await asyncio.sleep(LOOK_S)
        if victims := holding or list(self.going):
            os.kill(random.choice(victims), signal.SIGKILL)
            self.killed += 1

    async def _holding(self) -> list[int]:
        """The processes whose calls are under way."""
        rows = await self.stage.store.ledger(run=self.run)
        held = {row.place.owner for row in rows if row.status == "open"}
        return [
            pid
            for pid, order in self.going.items()
            if any(call["item"] in held for calls in order["callers"] for call in calls)
        ]

    async def budget(self) -> Budget:
        """The run's money."""
        budget = await self.stage.store.budget(f"run:{self.run}:usd", self.run)
        assert budget is not None
        return budget

    def _outcomes(self) -> dict[str, str]:
        if not self._notes.exists():
            return {}
        return {
            n["call"]: n["outcome"] for n in map(json.loads, self._notes.read_text().splitlines())
        }

    async def _seen(self, seconds: float) -> Seen:
        bill = await self.stage.bill(self.run)
        return Seen(
            self.calls, self.cap, self._outcomes(), self.highest, self.looks, bill["pico"],
            bill["charges"], await self.budget(), await self.stage.store.ledger(run=self.run),
            self.killed, seconds, tuple(self.passed),
        )  # fmt: skip


def _told(call: Call) -> dict[str, Any]:
    return asdict(call)


def wrong(seen: Seen) -> list[str]:
    """Every promise that a round broke."""
    end = seen.end
    settled = sum(row.cost or 0 for row in seen.rows if row.status in ("done", "late"))
    paid = {
        str(row.attributes["gen_ai.response.id"]): row.cost
        for row in seen.rows
        if row.status in ("done", "late")
    }
    promises = {
        "settled + held + unknown passed the limit": max(
            seen.highest, end.spent + end.held + end.unknown
        ) <= seen.cap,
        "the far side's bill passed the limit": seen.bill <= seen.cap,
        "the bill is not between settled and settled + unknown":
            end.spent <= seen.bill <= end.spent + end.unknown,
        "something is held past its lease": end.held == 0
            and all(row.status != "open" for row in seen.rows),
        "settled is not what was billed for answered calls":
            settled == end.spent
            and all(seen.charges[name] == cost for name, cost in paid.items()),
        "more than 2 % were refused while settled + unknown left room": seen.early <= 0.02 * len(seen.calls),
        "a call had no answer": len(seen.outcomes) == len(seen.calls),
    }  # fmt: skip
    return [promise for promise, kept in promises.items() if not kept]


async def _tell(rounds: int, url: str, home: Path, *, top: bool) -> None:
    behind: list[float] = []
    with stage(url, home) as on, watching(url, on.blobs) if top else nullcontext() as watch:
        told: list[Seen] = []
        broken: list[str] = []
        for seed in range(rounds):
            seen = await on.tell(seed)
            told.append(seen)
            broken += [f"round {seed}: {promise}" for promise in wrong(seen)]
            if watch is not None:
                behind.append(await far_behind(watch, f"run:r{seed}:usd", seen))
                broken += [f"round {seed}: loops top was behind"] * (behind[-1] > TOP_S)
            shown = f" loops top {behind[-1]:.1f} s behind" if behind else ""
            print(f"{seed:4} {line(seen)}{shown}", flush=True)
    print(f"\n{rounds} rounds: {summary(told)}")
    if behind:
        print(f"loops top: {max(behind):.2f} s behind at the worst")
    print("\n".join(broken) or "no promise was broken")
    sys.exit(bool(broken))


async def far_behind(watch: Watch, budget: str, seen: Seen) -> float:
    """By how many seconds at most `loops top` was behind that round's store; it shows all of it by now."""
    await watch.caught_up(budget, seen.end.spent)
    return watch.behind(budget, seen.passed)


def line(seen: Seen) -> str:
    """One round in one line."""
    share = {
        name: f"{100 * value / seen.cap:.1f} %"
        for name, value in (
            ("settled", seen.end.spent), ("unknown", seen.end.unknown), ("billed", seen.bill),
            ("highest", seen.highest),
        )
    }  # fmt: skip
    lost = dict(Counter(row.error for row in seen.rows if row.status == "unknown"))
    return f"{dict(seen.counted)} {share} unknown {lost} looks {seen.looks} killed {seen.killed} {seen.seconds:.1f} s"


def summary(told: list[Seen]) -> str:
    """All rounds in a few words."""
    sums = sum((seen.counted for seen in told), Counter[str]())
    slowest = max(seen.seconds for seen in told)
    highest = max(seen.highest / seen.cap for seen in told)
    billed = max(seen.bill / seen.cap for seen in told)
    early = max(seen.early for seen in told)
    nobody = sum(not seen.counted["served"] for seen in told)
    return (
        f"{dict(sums)}, {nobody} rounds served nobody, at most {early} early in a round, highest {highest:.4f} of the limit in "
        f"{sum(seen.looks for seen in told):,} looks, bill at most {billed:.4f} of it, "
        f"{sum(seen.killed for seen in told)} kills, slowest {slowest:.1f} s"
    )


def main() -> None:
    """Tell rounds on one store."""
    parser = argparse.ArgumentParser(prog="python -m tests.money.rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--store", help="a store's URL; a new SQLite file when left out")
    parser.add_argument(
        "--top", action="store_true", help="have `loops top` look on, and measure it"
    )
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="looprail-money-") as home:
        url = told.store or f"sqlite://{home}/store.db"
        asyncio.run(_tell(told.rounds, url, Path(home), top=told.top))


if __name__ == "__main__":
    main()
