"""What would the past have cost by the prices we know now?"""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.names import claimed
from cli.source import json_option, load_registry, registry_option
from cli.store import open_cli_store
from cli.words import now_ms, one_line
from governance.memory import Store
from governance.parts import usd
from governance.prices import Book
from governance.prices.anew import Change, changes, model_of, priced_anew
from governance.records import LedgerRow

PAGE = 5_000
"""Calls in memory, and in one transaction, at once."""

_EXAMPLE = """\b
$ loops rerate --since 2026-11-01 --dry-run
$ loops rerate --since 2026-11-01 --why "the discount of agreement 118 was missing" --as noor@northwind.example
$ loops rerate --model claude-sonnet-4-6 --since 2026-11-01 --until 2026-12-01 --dry-run --json
"""
_day = click.DateTime(["%Y-%m-%d"])


@click.command(epilog=_EXAMPLE)
@click.option(
    "--since", type=_day, metavar="DATE", help="Of calls that began on this UTC day or later."
)
@click.option("--until", type=_day, metavar="DATE", help="Of calls that began before this UTC day.")
@click.option("--model", metavar="ID", help="Of this model only, by its provider's id.")
@click.option("--why", help="Why; kept on record. Needed without --dry-run.")
@click.option("--as", "name", help="Who says so; the user of this machine by default.")
@click.option("--dry-run", is_flag=True, help="Show the difference and write nothing.")
@registry_option
@json_option
def rerate(
    since: datetime | None, until: datetime | None, model: str | None, why: str | None, name: str | None,
    dry_run: bool, root: Path, as_json: bool,
) -> None:  # fmt: skip
    """Price answered model calls anew, by the price list and the registry's prices.yaml as they are now.

    Each call is priced at the day it began. The result stands beside the ledger, under a name of its own, with
    who asked for it and why; the ledger and what budgets were charged stay as they are.
    """
    said = " ".join((why or "").split())
    if not dry_run and (not said or len(said) > 2_000 or one_line(said) != said):
        raise click.UsageError("--why takes 1 to 2,000 visible characters; or ask for --dry-run")
    if since and until and until <= since:
        raise click.UsageError("--until is a later day than --since")
    book = Book(load_registry(root).prices)
    asked = _Asked(since, until, model)
    named, found = asyncio.run(
        _rerate(open_cli_store().store, book, asked, None if dry_run else (claimed(name), said))
    )
    if as_json:
        told = {"rerate": named, "rows": [_plain(c) for c in found], "total": _plain(_total(found))}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(_as_table(found))
        click.echo(f"On record as {named}." if named else "Nothing was written.")


class _Asked:
    """Which calls are asked for."""

    def __init__(self, since: datetime | None, until: datetime | None, model: str | None) -> None:
        self._from, self._to = _ms(since), _ms(until)
        self._model = model
        days = " ".join(
            f"{word} {day.date()}" for word, day in (("since", since), ("until", until)) if day
        )
        self.about = f"calls of {model or 'every model'}{' ' + days if days else ''}"

    def wants(self, row: LedgerRow) -> bool:
        after = self._from is None or row.started_at >= self._from
        before = self._to is None or row.started_at < self._to
        return after and before and self._model in (None, model_of(row))


def _ms(day: datetime | None) -> int | None:
    return int(day.replace(tzinfo=UTC).timestamp() * 1000) if day else None


async def _rerate(
    store: Store, book: Book, asked: _Asked, on_record: tuple[str, str] | None
) -> tuple[str | None, tuple[Change, ...]]:
    named, found, after = None, tuple[Change, ...](), 0
    if on_record:
        by, why = on_record
        named = await store.begin_rerate(by=by, why=why, about=asked.about, now=now_ms())
    # Of a row that is settled once more meanwhile, only the one seen first is priced.
    seen = set[tuple[str, int]]()
    while rows := await store.ledger(after_seq=after, limit=PAGE):
        pairs = [(r, anew) for r in rows if asked.wants(r) and (anew := priced_anew(r, book))]
        fresh = [(r, anew) for r, anew in pairs if (r.key, r.attempt) not in seen]
        seen |= {(r.key, r.attempt) for r, _ in fresh}
        found = changes(fresh, found)
        if named:
            await store.put_rerated(named, [anew for _, anew in fresh])
        after = rows[-1].seq
    if named:
        await store.end_rerate(named, now=now_ms())
    return named, found


def _total(found: tuple[Change, ...]) -> Change:
    counts = ("calls", "was", "now", "was_unknown", "still_unknown")
    return Change("", *(sum(getattr(c, name) for c in found) for name in counts))


def _plain(change: Change) -> dict[str, Any]:
    return {
        "model": change.model or None,
        "calls": change.calls,
        "was_usd": f"{usd(change.was):f}",
        "now_usd": f"{usd(change.now):f}",
        "difference_usd": f"{usd(change.now - change.was):f}",
        "was_unknown_calls": change.was_unknown,
        "still_unknown_calls": change.still_unknown,
    }


def _as_table(found: tuple[Change, ...]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for title in ("MODEL", "CALLS", "WAS USD", "NOW USD", "DIFFERENCE", "UNKNOWN BEFORE", "STILL"):
        table.add_column(title, justify="left" if title == "MODEL" else "right")
    for change in (*found, _total(found)):
        table.add_row(
            escape(change.model or "TOTAL"), f"{change.calls:,}", f"{usd(change.was):,.6f}", f"{usd(change.now):,.6f}",
            f"{usd(change.now - change.was):+,.6f}", f"{change.was_unknown:,}", f"{change.still_unknown:,}",
        )  # fmt: skip
    console = Console(width=Console(width=1000).measure(table).maximum)
    with console.capture() as drawn:
        console.print(table)
    return drawn.get().strip("\n")
