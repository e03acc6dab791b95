"""Who puts calls on a ledger, and what does each call take? Ours through the store, and the bare database.

The bare database gets the rows that the store writes, in two transactions of the same database by the same driver, and
nothing else: no checks, no reading, no event loop. The fair one waits as the store does, one process at a time and whoever
asked first; the other one as the database has it. There SQLite lets one process run and the others starve.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.ledger_homes import Home
from governance.charges import Amounts
from governance.conversation import EMPTY_HEAD, Usage
from governance.effects import Admitted, Intent, Place, Principal, Settlement
from governance.limits import own_charges
from governance.parts import DAY_MS, PICO, digest

LOOP = "triage"
BY = Principal(LOOP, "noor", "platform", "lead", "lead")
WORST, PAID = PICO // 100, PICO // 1000
USAGE = Usage(input_tokens=4_000, output_tokens=300, cache_read_tokens=3_500)
PRICE = {
    "model": "claude-sonnet-4-6", "input": "3", "output": "15", "cache_read": "0.3",
    "cache_write_5m": "3.75", "cache_write_1h": "6", "price_book": "genai-prices",
}  # fmt: skip
RESULT = {"content": [{"type": "text", "text": "fine " * 60}], "stop": "end_turn"}
WARM = 30


@dataclass(frozen=True)
class Told:
    """One process's work: where, which run and item, for how long."""

    home: Home
    run: str
    item: str
    fence: int
    seconds: float
    every_s: float = 0.0
    """So long is it from the beginning of one call to that of the next, on average; 0 for no pause between them."""


class Calls:
    """Seconds of each T4 and each T5 of one process, and of processor time; the first ones are its warming up."""

    def __init__(self, told: Told, ready: Any) -> None:
        self.reserve: list[float] = []
        self.settle: list[float] = []
        self.cpu_s = 0.0
        self._told, self._ready = told, ready
        self._until, self._due, self._when = 0.0, 0.0, Random(told.item)

    def note(self, reserve: float, settle: float) -> None:
        """One call is done."""
        self.reserve.append(reserve)
        self.settle.append(settle)

    def go_on(self) -> bool:
        """Whether there is time for one more; it waits here for the other processes, once warm and at the end.

        So that no call is held up by a process that ends.
        """
        if len(self.reserve) == WARM:
            self._ready.wait()
            self._due = time.monotonic()
            self._until, self.cpu_s = self._due + self._told.seconds, -time.process_time()
        if len(self.reserve) >= WARM and self._told.every_s:
            self._due += self._when.expovariate(1 / self._told.every_s)
            time.sleep(max(0.0, self._due - time.monotonic()))
        if len(self.reserve) <= WARM or time.monotonic() < self._until:
            return True
        self.cpu_s += time.process_time()
        self._ready.wait()
        return False

    def timed(self) -> "Timed":
        """What was measured once all were warm."""
        return Timed(self.reserve[WARM:], self.settle[WARM:], self.cpu_s)


@dataclass(frozen=True)
class Timed:
    """Seconds of each T4 and each T5, and of processor time for all of them."""

    reserve: list[float]
    settle: list[float]
    cpu_s: float


MOST = Amounts(WORST, 40_000, steps=1, calls=1, concurrent=1)
TOOK = Amounts(PAID, USAGE.total, steps=1, calls=1)


def place_of(told: Told, n: int) -> Place:
    """The n-th call's place: steps with a constant number of digits, as keys are compared as text."""
    return Place(told.run, told.item, 1, "lead", 100_000 + n, 0)


def looprail(told: Told, calls: Calls) -> None:
    """Through the store, as the edge does it."""
    asyncio.run(_looprail(told, calls))


async def _looprail(told: Told, calls: Calls) -> None:
    store = told.home.open()
    while calls.go_on():
        calls.note(*await _one(store, place_of(told, len(calls.reserve)), told.fence))
    store.disconnect()


async def _one(store: Any, place: Place, fence: int) -> tuple[float, float]:
    now = time.time_ns() // 1_000_000
    intent = Intent(
        place=place, kind="model", name="claude-sonnet-4-6", principal=BY,
        rule="the loop names this model", head=EMPTY_HEAD, args={}, fence=fence, now=now,
        send_by=now + 60_000, lease=now + 600_000, repeatable=True, most=MOST,
        charges=own_charges(place, MOST),
        attributes={"gen_ai.request.model": "claude-sonnet-4-6", "gen_ai.request.max_tokens": 8192},
    )  # fmt: skip
    settlement = Settlement(
        now=now, result=RESULT, cost=PAID, cost_status="priced", price=PRICE, usage=USAGE,
        paid=TOOK, head=EMPTY_HEAD,
        response_model="claude-sonnet-4-6", attributes={"gen_ai.response.id": "msg_1"},
    )  # fmt: skip
    began = time.perf_counter()
    admitted = await store.intend(intent)
    between = time.perf_counter()
    assert isinstance(admitted, Admitted), admitted
    await store.done(place, admitted.attempt, settlement)
    return between - began, time.perf_counter() - between


def bare(told: Told, calls: Calls) -> None:
    """The same rows by plain statements; other processes are met as the database has it."""
    _bare(told, calls, fair=False)


def bare_fair(told: Told, calls: Calls) -> None:
    """The same, one process at a time, whoever asked first."""
    _bare(told, calls, fair=True)


def _bare(told: Told, calls: Calls, *, fair: bool) -> None:
    sql = told.home.bare(fair=fair)
    while calls.go_on():
        row = _row(told, place_of(told, len(calls.reserve)))
        began = time.perf_counter()
        sql.write(T4, row)
        between = time.perf_counter()
        sql.write(T5, row)
        calls.note(between - began, time.perf_counter() - between)


def _row(told: Told, place: Place) -> dict[str, Any]:
    """What the statements need, spelled as long as the store spells it."""
    now, seal = time.time_ns() // 1_000_000, digest(place.key)
    charges, paid = own_charges(place, MOST), own_charges(place, TOOK)
    return {
        "key": place.key, "run": told.run, "item": told.item, "step": place.step, "now": now, "seal": seal,
        "head": EMPTY_HEAD, "span": seal[7:23], "trace": seal[7:39], "later": now + 600_000,
        "day": now // DAY_MS, "paid": PAID,
        "result": str(RESULT), "price": str(PRICE), "usage": str(vars(USAGE)), "attributes": "x" * 90,
        **{f"b{n}": charge.budget for n, charge in enumerate(charges)},
        **{f"h{n}": charge.amount for n, charge in enumerate(charges)},
        **{f"p{n}": charge.amount for n, charge in enumerate(paid)},
    }  # fmt: skip


T4 = (
    *(
        f"UPDATE budgets SET held = held + :h{n} WHERE budget = :b{n} AND period = :run"
        f" AND held + spent + unknown + :h{n} <= cap"
        for n in range(4)
    ),
    *(
        "INSERT INTO charges (key, attempt, budget, period, amount, status)"
        f" VALUES (:key, 1, :b{n}, :run, :h{n}, 'held')"
        for n in range(4)
    ),
    "INSERT INTO journal (key, run, owner, round, lane, step, ordinal, kind, name, rule, head, args,"
    " args_digest, repeatable, status, attempts, intended_at, seal)"
    " VALUES (:key, :run, :item, 1, 'lead', :step, 0, 'model', 'claude-sonnet-4-6',"
    " 'the loop names this model', :head, '{}', :head, 1, 'intended', 1, :now, :seal)",
    "INSERT INTO ledger (key, attempt, run, owner, name, loop, loop_owner, team, agent, role, fence,"
    " send_by, lease, status, started_at, usage, reserved, cost_status, price, span, parent_span,"
    " trace, attributes)"
    " VALUES (:key, 1, :run, :item, 'claude-sonnet-4-6', 'triage', 'noor', 'platform', 'lead', 'lead', 1,"
    " :later, :later, 'open', :now, :usage, :h3, 'open', '{}', :span, :span, :trace, :attributes)",
)  # fmt: skip
T5 = (
    "UPDATE counters SET value = value + 1 WHERE name = 'settled'",
    *(
        f"UPDATE budgets SET held = held - :h{n}, spent = spent + :p{n}"
        f" WHERE budget = :b{n} AND period = :run"
        for n in range(4)
    ),
    *(
        f"UPDATE charges SET status = 'spent', amount = :p{n} WHERE key = :key AND attempt = 1"
        f" AND budget = :b{n} AND period = :run"
        for n in range(4)
    ),
    "UPDATE journal SET status = 'done', result = :result, result_digest = :head, head_after = :head,"
    " labels = '[]', done_at = :now, seal = :seal WHERE key = :key",
    "UPDATE ledger SET seq = (SELECT value FROM counters WHERE name = 'settled'), status = 'done',"
    " ended_at = :now, attributes = :attributes, usage = :usage, cost = :p3, cost_status = 'priced',"
    " price = :price, response_model = 'claude-sonnet-4-6' WHERE key = :key AND attempt = 1",
    "INSERT INTO meter (day, run, agent, model, loop, loop_owner, team, tries, cost, unknown, unpriced)"
    " VALUES (:day, :run, 'lead', 'claude-sonnet-4-6', 'triage', 'noor', 'platform', 1, :paid, 0, 0)"
    " ON CONFLICT (day, run, agent, model) DO UPDATE SET tries = meter.tries + 1, cost = meter.cost + :paid",
)
FAIR = "bare, fair"
CONTENDERS: dict[str, Callable[[Told, Calls], None]] = {
    FAIR: bare_fair,
    "bare, unfair": bare,
    "Looprail": looprail,
}
