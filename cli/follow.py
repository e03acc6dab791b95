"""What is happening in a run right now?"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cli.inbox import Standing
from cli.server import link
from cli.spent import Spent, spent
from cli.waits import wait_lines
from cli.words import now_ms, one_line, span
from governance.memory import Store
from governance.parts import Json
from governance.records import Card, ItemRow, LedgerRow, RunRow

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY_S = 1.0
_RESTING = ("done", "stopped", "waiting", "kept_back")


@dataclass(frozen=True)
class Watched:
    """One item as it stands now."""

    standing: Standing
    step: str
    """The newest effect: its lane, what it is and how it stands."""
    cards: tuple[Card, ...]

    @property
    def item(self) -> ItemRow:
        """The item itself."""
        return self.standing.item


@dataclass(frozen=True)
class Seen:
    """A run at one moment. `state` is the heartbeat's in Prefect; `ended` whether that is its last."""

    loop: str
    state: str
    ended: bool
    succeeded: bool
    run: RunRow | None
    items: tuple[Watched, ...]
    spent: Spent

    @property
    def over(self) -> bool:
        """Whether nothing more will happen without a person."""
        return self.ended and all(w.item.status in _RESTING for w in self.items)

    @property
    def well(self) -> bool:
        """Whether the heartbeat succeeded and every item is done or waits."""
        return self.succeeded and all(w.item.status in ("done", "waiting") for w in self.items)

    def as_json(self) -> Json:
        """For `--json` outputs."""
        now = now_ms()
        return {
            "run": self.run.run if self.run else None,
            "state": self.state,
            "well": self.well,
            "summary": self.run.summary if self.run else None,
            **self.spent.as_json(),
            "items": [
                {**w.standing.as_json(now), "cards": [c.card for c in w.cards]} for w in self.items
            ],
        }


async def follow(store: Store, loop: str, flow_run: str, *, shows: bool) -> Seen:
    """Look again and again until it is over; with `shows` as a live view. Raises what Prefect's client raises."""
    from prefect import get_client
    from rich.console import Console
    from rich.live import Live

    console = Console(quiet=not shows, highlight=False)
    began = now_ms()
    async with get_client() as client:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                seen = await _look(store, client, loop, flow_run)
                live.update(picture(seen, now_ms() - began), refresh=True)
                if seen.over:
                    return seen
                await asyncio.sleep(EVERY_S)


async def _look(store: Store, client: Any, loop: str, flow_run: str) -> Seen:
    heartbeat = await client.read_flow_run(UUID(flow_run))
    state = heartbeat.state
    ended = bool(state and state.is_final())
    run = next((r for r in await store.runs(loop=loop) if r.flow_run == flow_run), None)
    items = await store.items(run=run.run) if run else ()
    rows = await store.ledger(run=run.run) if run else ()
    by_owner: dict[str, list[LedgerRow]] = {}
    for row in rows:
        by_owner.setdefault(row.place.owner, []).append(row)
    watched = [await _watched(store, item, by_owner.get(item.item, [])) for item in items]
    return Seen(
        loop=loop,
        state=state.name if state else "Scheduled",
        ended=ended,
        succeeded=bool(state and state.is_completed()),
        run=run,
        items=tuple(watched),
        spent=spent(rows),
    )


async def _watched(store: Store, item: ItemRow, rows: list[LedgerRow]) -> Watched:
    standing = Standing(item, spent(rows), await store.evidence(item.item))
    cards = await store.cards(item=item.item) if item.status == "waiting" else ()
    return Watched(standing, _step(rows), cards)


def _step(rows: list[LedgerRow]) -> str:
    if not rows:
        return "-"
    last = max(rows, key=lambda r: (r.started_at, r.attempt))
    return f"{last.place.lane}: {last.kind} {last.name} {last.status}"


def picture(seen: Seen, watching_ms: int) -> "RenderableType":
    """The view: a line about the run, a table of its items, and where waiting cards are answered."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    # Text, never markup: what agents and tools wrote must not style anything.
    named = f"run {seen.run.run}" if seen.run else "no run yet"
    head = f"{seen.loop}, {named}: heartbeat {seen.state}, {seen.spent}, {span(watching_ms)}"
    parts: list[RenderableType] = [Text(head)]
    if seen.items:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("ITEM", "TITLE", "STATUS", "ROUND", "STEP", "COST"):
            table.add_column(name, no_wrap=name in ("ITEM", "STATUS", "COST"), overflow="ellipsis")
        for watched in seen.items:
            table.add_row(*(Text(cell) for cell in _cells(watched)))
        parts.append(table)
    kept = {w.item.stop.detail for w in seen.items if w.item.status == "kept_back" and w.item.stop}
    parts += [Text(one_line(why), overflow="fold") for why in sorted(kept)]
    for watched in seen.items:
        for card in watched.cards:
            parts.append(Text(_asks(card, watched.item.flow_run), overflow="fold"))
    for line in wait_lines((watched.item for watched in seen.items), now_ms()):
        parts.append(Text(line, overflow="fold"))
    return Group(*parts)


def _cells(watched: Watched) -> tuple[str, ...]:
    item = watched.item
    why = f" ({item.stop.reason})" if item.stop else ""
    return (
        item.item,
        one_line(item.finding.title),
        item.status + why,
        str(item.round) if item.round else "-",
        one_line(watched.step),
        str(watched.standing.spent),
    )


def _asks(card: Card, flow_run: str | None) -> str:
    where = f"{link(flow_run)} or " if flow_run else ""
    return f"{one_line(card.tool)} waits for you: {where}loops approve {card.card}"
