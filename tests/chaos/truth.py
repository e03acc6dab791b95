"""What truly happened, at the far side and on the ledger, and what must be true of the two at every moment."""

import asyncio
import json
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from governance.memory import Store
from governance.parts import Json, canonical
from governance.records import RunRow
from tests.chaos.town import COUNTED, Town

_IDS = re.compile(r"\b[irc][0-9a-f]{12}\b")
_SLOT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
_BUILD = re.compile(r"run_id: \d+\b")
"""In a text inside of JSON it comes right behind the `n` of a new line."""
_TOOK = re.compile(r"\b\d+\.\d+ ?s\b")
_DIFFER = ((_COMMIT, "commit"), (_SLOT, "slot"), (_BUILD, "build"), (_TOOK, "soon"))
ASIDES = ("waited", "probe-")
"""Lanes of what is noted and asked when an item waits: they tell of the way to an end, not of the end."""
TICK_S = 0.1


@dataclass(frozen=True)
class Ending:
    """All that must be the same whatever was killed. Ids that differ by firing are left out."""

    items: tuple[str, ...]
    run: str
    page: str
    evidence: tuple[str, ...]
    journal: tuple[str, ...]
    effects: tuple[str, ...]

    def differs(self, other: "Ending") -> dict[str, tuple[object, object]]:
        """Field by field, what is not the same."""
        return {
            name: (value, vars(other)[name])
            for name, value in vars(self).items()
            if value != vars(other)[name]
        }


@dataclass
class Truth:
    """The far side's own count from the story's beginning on, beside the story's ledger."""

    town: Town
    database: Path
    calls_before: int = field(init=False)
    billed_before: int = field(init=False)
    messages_before: set[str] = field(init=False)
    samples: int = 0
    wrong: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.calls_before = self.town.last_call()
        charged = self.town.charged()
        self.messages_before = set(charged)
        self.billed_before = sum(c["cost_pico_usd"] for c in charged.values())

    def effects(self) -> list[Json]:
        """Calls of this story that change something and that the forge did not refuse or replay."""
        return [
            c
            for c in self.town.forge_calls(self.calls_before)
            if c["key"] and not c["is_error"] and not c["replayed"] and not _reads(c["tool"])
        ]

    async def watch(self) -> None:
        """Settled <= bill <= settled + unknown, at every moment we look, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(TICK_S)

    async def look(self) -> None:
        """One moment. The bill is read between two looks at the ledger, neither of which can be unfair to it."""
        low, _ = await asyncio.to_thread(self.ledger)
        try:
            async with httpx.AsyncClient(timeout=10) as client:
                bill = (await client.get(f"{self.town.model_url}/_bill")).json()["cost_pico_usd"]
        except httpx.HTTPError:
            return
        settled, open_to = await asyncio.to_thread(self.ledger)
        billed = bill - self.billed_before
        self.samples += 1
        if not low <= billed <= settled + open_to:
            self.wrong.append(
                f"settled {low}, billed {billed}, settled and unknown {settled + open_to}"
            )

    def ledger(self) -> tuple[int, int]:
        """What is settled of the provider's, and the most that what is open or unknown may come to."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30) as db:
            rows = db.execute(
                "SELECT l.status IN ('open', 'unknown'), sum(coalesce(l.cost, 0)), sum(l.reserved)"
                " FROM ledger l JOIN journal j ON j.key = l.key WHERE j.kind = 'model' GROUP BY 1"
            ).fetchall()
        db.close()
        return sum(r[1] for r in rows), sum(r[2] for r in rows if r[0])

    def check(self) -> None:
        """Every sample was right; and call by call, what is settled is what was charged for that very answer."""
        assert self.wrong == []
        assert self.samples > 0
        charged = {i: c for i, c in self.town.charged().items() if i not in self.messages_before}
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30) as db:
            rows = db.execute(
                "SELECT l.status, l.cost, l.attributes FROM ledger l JOIN journal j ON j.key = l.key"
                " WHERE j.kind = 'model'"
            ).fetchall()
        db.close()
        paid = {
            json.loads(a)["gen_ai.response.id"]: cost
            for status, cost, a in rows
            if status in ("done", "late")
        }
        answered = [r for r in rows if r[0] in ("done", "late")]
        assert len(paid) == len(answered), "an answer was settled twice"
        assert paid == {i: charged[i]["cost_pico_usd"] for i in paid}
        lost = set(charged) - set(paid)
        assert len(lost) <= sum(r[0] == "unknown" for r in rows), "billed, and on no try of ours"

    async def check_effects(self, store: Store) -> None:
        """No effect that is another one each time went out twice, unless a person said to start it once more."""
        sent = Counter(
            c["key"]
            for c in self.town.forge_calls(self.calls_before)
            if c["key"] and f"{c['connector']}.{c['tool']}" in COUNTED
        )
        cards = await store.cards(open_only=False)
        allowed = Counter(
            c.key for c in cards if c.kind == "in_doubt" and c.answer == "not-happened"
        )
        twice = {key: n for key, n in sent.items() if n > 1 + allowed[key]}
        assert twice == {}, "made twice without an answered card"
        done = Counter(c["key"] for c in self.effects())
        assert {k: n for k, n in done.items() if n > 1} == {}, "it happened twice at the far side"


async def ending_of(town: Town, store: Store, run: RunRow, truth: Truth) -> Ending:
    """How a story ended, in our store and at the far side."""
    items = await store.items(run=run.run)
    page = await store.state(run.loop)
    entries = [e for i in items for e in await store.entries(i.item)]
    evidence = [(i.finding.title, e) for i in items for e in await store.evidence(i.item)]
    return Ending(
        items=tuple(
            sorted(plain([i.finding.title, i.status, i.stop and i.stop.reason, i.outcome]) for i in items)
        ),
        run=plain([run.status, run.open_items, run.stop and run.stop.reason, run.summary]),
        page=plain(page.body if page else ""),
        evidence=tuple(sorted(plain([t, e.kind, e.tree[:20], e.verdict, e.by]) for t, e in evidence)),
        journal=tuple(
            plain([e.place.round, e.place.lane, e.place.step, e.place.ordinal, e.kind, e.name, e.args, e.status])
            for e in entries
            if not e.place.lane.startswith(ASIDES)
        ),
        effects=tuple(sorted(plain([c["connector"], c["tool"], c["arguments"]]) for c in truth.effects())),
    )  # fmt: skip


def plain(value: Any) -> str:
    """Its canonical spelling, without what differs by firing."""
    text = value if isinstance(value, str) else canonical(value)
    seen: dict[str, str] = {}
    named = _IDS.sub(lambda m: seen.setdefault(m[0], f"{m[0][0]}{len(seen)}"), text)
    for differs, named_as in _DIFFER:
        named = differs.sub(named_as, named)
    return named


def _reads(tool: str) -> bool:
    return tool.startswith(("get_", "list_"))
