"""What did the loop do, told while it happens, from the store and from Prefect?"""

import asyncio
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.prefect_api import PrefectApi
from demo.world import DemoWorld
from drivers.store import store_at
from governance.parts import usd
from governance.records import Card, ItemRow, LedgerRow

TICK_S = 0.5


class Story:
    """One firing of one loop in a demo world, printed as it goes. A context manager: it holds a connection."""

    def __init__(self, world: DemoWorld, console: Console, loop: str) -> None:
        self.world, self.loop = world, loop
        self.store = store_at(world.store_url, world.blobs)
        self.api = PrefectApi(world.api_url, world.keys.prefect)
        self._console = console
        self._began = time.monotonic()
        self._told: set[str] = set()

    def __enter__(self) -> "Story":
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()

    def say(self, text: str) -> None:
        """One line, with the seconds since the beginning."""
        self._console.print(f"[dim]{time.monotonic() - self._began:6.1f}s[/dim]  {text}")

    async def fire(self, timeout_s: float) -> tuple[ItemRow, ...]:
        """Trigger the heartbeat and wait for its end; what it put in the inbox."""
        heartbeat = self.api.trigger(f"heartbeat/{self.loop}")
        self.say(f"fired [bold]heartbeat/{self.loop}[/bold]")
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            state = self.api.flow_run(heartbeat)["state"]
            if state["type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED"):
                break
            await asyncio.sleep(TICK_S)
        else:
            raise TimeoutError(f"the heartbeat did not end within {timeout_s:,.0f} s")
        run = next(
            (r for r in await self.store.runs(loop=self.loop) if r.flow_run == heartbeat), None
        )
        self.say(f"heartbeat: {state['name']} ({state.get('message') or ''})")
        items = await self.store.items(run=run.run) if run else ()
        for item in items:
            self.say(f"found: [bold]{item.finding.title}[/bold]")
        return tuple(items)

    async def follow(self, items: Iterable[ItemRow], timeout_s: float) -> tuple[ItemRow, ...]:
        """Tell every effect as it ends, until each item is at its end or waits for a person."""
        named = [i.item for i in items]
        until = time.monotonic() + timeout_s
        while True:
            rows = [await self._now(item) for item in named]
            if all([await self._settled(row) for row in rows]):
                return tuple(rows)
            if time.monotonic() > until:
                raise TimeoutError(f"not at its end or waiting after {timeout_s:,.0f} s")
            await asyncio.sleep(TICK_S)

    async def _settled(self, row: ItemRow) -> bool:
        if row.status in ("done", "stopped", "kept_back"):
            return True
        if row.status != "waiting" or row.flow_run is None:
            return False
        return self.api.form(row.flow_run) is not None

    async def _now(self, item: str) -> ItemRow:
        row = await self.store.item(item)
        assert row is not None
        for done in await self.store.ledger(item=item):
            if done.status != "open" and done.span not in self._told:
                self._told.add(done.span)
                self.say(_effect(done))
        for piece in await self.store.evidence(item):
            if repr(piece) not in self._told:
                self._told.add(repr(piece))
                self.say(f"[green]evidence[/green] {piece.kind}: {piece.verdict} ({piece.detail})")
        return row

    async def cards(self, items: Iterable[ItemRow]) -> tuple[Card, ...]:
        """The open cards of these items."""
        return tuple([c for i in items for c in await self.store.cards(item=i.item)])

    def approve(self, item: ItemRow, cards: Iterable[Card]) -> None:
        """Send the form as the UI does. Raises `RuntimeError` when Prefect does not take it."""
        assert item.flow_run is not None
        form: dict[str, Any] = {f"card_{c.card}": "approve" for c in cards}
        verdict = self.api.resume(
            item.flow_run, {**form, "approver": "demo", "reason": "it is a demo"}
        )
        if verdict["status"] != "ACCEPT":
            raise RuntimeError(f"Prefect did not take the approval: {verdict}")

    async def cost_by_agent(self, items: Iterable[ItemRow]) -> Table:
        """What each agent cost in these runs, with the heartbeats' own share."""
        runs = {i.run for i in items}
        rows = [r for run in runs for r in await self.store.ledger(run=run)]
        table = Table("agent", "model", "calls", "input", "cached", "output", "USD")
        groups: dict[tuple[str, str], list[LedgerRow]] = {}
        for row in rows:
            name = row.name if row.kind == "model" else "(no model)"
            groups.setdefault((row.principal.agent, name), []).append(row)
        for (agent, model), of in sorted(groups.items()):
            table.add_row(
                agent,
                model,
                f"{len(of):,}",
                f"{sum(r.usage.input_tokens for r in of):,}",
                f"{sum(r.usage.cache_read_tokens for r in of):,}",
                f"{sum(r.usage.output_tokens for r in of):,}",
                f"{_paid(of):.6f}",
            )
        table.add_row(
            "[bold]all[/bold]", "", f"{len(rows):,}", "", "", "", f"[bold]{_paid(rows):.6f}[/bold]"
        )
        return table


def _paid(rows: Iterable[LedgerRow]) -> Decimal:
    return usd(sum(r.cost or 0 for r in rows))


def _effect(row: LedgerRow) -> str:
    took = ((row.ended_at or row.started_at) - row.started_at) / 1000
    paid = f", {usd(row.cost):.6f} USD" if row.cost else ""
    ended = (
        ""
        if row.status == "done" and not row.error
        else f" [yellow]{row.error or row.status}[/yellow]"
    )
    return f"{row.principal.agent}: {row.name} ({took:.1f} s{paid}){ended}"
