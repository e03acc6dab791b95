"""One process with some of the callers: each asks for one call after the other, through the real edge.

A caller is what a lane is: it claims an item, asks its model, tries again what the far side turned away or left
open, and takes a refusal for an answer. What came of each call is a line in a file, so that a kill loses none.
"""

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.blobs import DirectoryBlobs
from drivers.model import AnthropicModel
from drivers.store import open_store
from governance.conversation import EMPTY_HEAD
from governance.edge import Edge
from governance.effects import Intent, Place, Principal, Recorded, Refused
from governance.errors import Unavailable, Unknown
from governance.guardrails import Screen
from governance.memory import Store
from governance.records import Claimed
from tests.money.calls import MODEL, TIMEOUT_S, Call

LOOP = "triage"
BY = Principal(LOOP, "noor", "platform", "lead", "lead")
TRIES = 3
LEASE_MS = 1_800
"""Longer than any call may take, so that only what was left behind is swept."""


def now_ms() -> int:
    """The clock."""
    return time.time_ns() // 1_000_000


def act(order: dict[str, Any]) -> None:
    """Do all that an order names: `url`, `blobs`, `provider`, `run`, `told` (a file) and `callers`."""
    asyncio.run(_act(order))


async def _act(order: dict[str, Any]) -> None:
    store = open_store(order["url"], DirectoryBlobs(Path(order["blobs"])))
    told = os.open(order["told"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    model = AnthropicModel(f"{order['provider']}/{order['run']}", "a-key-of-nobody")
    crew = Crew(store, Edge(store, now_ms, Screen), model, order["run"], told)
    await asyncio.gather(*(crew.caller(calls) for calls in order["callers"]))
    store.disconnect()


@dataclass(frozen=True)
class Crew:
    """The callers of one process."""

    store: Store
    edge: Edge
    model: AnthropicModel
    run: str
    told: int

    async def caller(self, calls: list[dict[str, Any]]) -> None:
        """One caller's calls, one after the other."""
        for values in calls:
            item = values.pop("item")
            call = Call.told(values)
            began = time.monotonic()
            outcome = await self._ask(call, item)
            line = {"call": call.name, "outcome": outcome, "s": time.monotonic() - began}
            os.write(self.told, f"{json.dumps(line)}\n".encode())

    async def _ask(self, call: Call, item: str) -> str:
        taken = await self.store.claim(
            item, flow_run=f"flow-{item}", now=now_ms(), lease=now_ms() + 60_000, max_lives=10
        )
        assert isinstance(taken, Claimed), taken
        for _ in range(TRIES):
            try:
                came = await self.edge.model(
                    self.model, call.request, self._intent(item, taken.item.fence),
                    timeout_s=TIMEOUT_S,
                )  # fmt: skip
            except (Unavailable, Unknown):
                continue
            if isinstance(came, Recorded):
                return "served"
            assert isinstance(came, Refused), came
            assert came.stop.reason == "cost", came
            return "early" if came.wait is not None or await self._has_room(call) else "refused"
        return "given up"

    async def _has_room(self, call: Call) -> bool:
        """Whether the call would have fitted beside what is settled and unknown, by the store's own columns."""
        budget = await self.store.budget(f"run:{self.run}:usd", self.run)
        assert budget is not None
        return call.worst <= budget.cap - budget.spent - budget.unknown

    def _intent(self, item: str, fence: int) -> Intent:
        now = now_ms()
        return Intent(
            place=Place(self.run, item, 1, "lead", 0, 0), kind="model", name=MODEL, principal=BY,
            rule="the loop names this model", head=EMPTY_HEAD, args={}, fence=fence, now=now,
            send_by=now + 1_000, lease=now + LEASE_MS, repeatable=True,
        )  # fmt: skip
