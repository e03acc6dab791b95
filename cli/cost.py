"""What did the loops cost?"""

import asyncio
import csv
import io
import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from analytics.cost import (
    DIMENSIONS,
    LABEL,
    CostReport,
    Dimension,
    cost_report,
    exact_digits,
    money,
    shared,
)
from analytics.export import export
from analytics.lake import Lake, lake_dir
from cli.source import json_option, load_registry, registry_option
from cli.store import open_cli_store
from governance.errors import DefinitionError
from governance.parts import usd
from governance.prices.people import PeoplesTime, peoples_time

SLOW_S = 1.0
"""An export that takes longer says how far it is."""

_EXAMPLE = """\b
$ loops cost --by loop --since 2026-11-01 --json
{"label": "computed, not reconciled", "by": "loop", "loop": null,
 "since": "2026-11-01",
 "rows": [{"dimension": "loop", "key": "night-fix", "model_calls": 9, ...,
           "cost_usd": "0.292715000000", "list_cost_usd": "0.292715000000", "unpriced_calls": 0,
           "undeclared_calls": 0, "unknown_calls": 1,
           "unknown_usd_at_most": "0.250000000000", "accepted": 1,
           "cost_per_accepted_usd": "0.292715000000"}],
 "total": {"dimension": "total", "key": null, ...}, "remarks": ["..."],
 "people": {"cards": 2, "undeclared_cards": 0, "seconds": 240, "usd": "6.000000000000"}}
"""
_NOBODY = {"item": "(heartbeats)", "model": "(no model)"}
"""What a row without a key is about."""
_COLUMNS = {
    "loop": "\nLOOP",
    "call": "\nCALL",
    "began_at": "\nBEGAN (UTC)",
    "outcome": "\nOUTCOME",
    "cost_usd": "COST\nUSD",
    "unpriced_calls": "UNPRICED\nCALLS",
    "undeclared_calls": "UNDECLARED\nCALLS",
    "unknown_calls": "UNKNOWN\nCALLS",
    "model_calls": "MODEL\nCALLS",
    "other_calls": "OTHER\nCALLS",
    "input_tokens": "INPUT\nTOKENS",
    "output_tokens": "OUTPUT\nTOKENS",
    "accepted": "ACCEPTED\nDELIVERIES",
    "cost_per_accepted_usd": "USD PER\nACCEPTED",
}
_TEXTS = ("loop", "call", "began_at", "outcome")
_WIDEST = 1000


@click.command(epilog=_EXAMPLE)
@click.option(
    "--by", type=click.Choice(DIMENSIONS), default="loop", show_default=True,
    help="What a row is.",
)  # fmt: skip
@click.option("--loop", metavar="NAME", help="Of this loop only.")
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE",
    help="Of calls that began on this UTC day or later.",
)  # fmt: skip
@registry_option
@json_option
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV instead; the last line is the total."
)
def cost(
    by: Dimension, loop: str | None, since: datetime | None, root: Path, as_json: bool, as_csv: bool
) -> None:
    """Show what the loops cost, computed, not reconciled.

    Every settled call counts, whatever it led to; calls under way do not yet. The cost per accepted delivery is that
    of all work divided by the items whose result passed verifier and checker and was delivered.

    Whatever a row is, the rows add up to the same total. A user is the owner of a loop; a call is one try of one
    effect, under the key that `loops trace --json` has for it.

    The ledger is first exported to $LOOPRAIL_HOME/lake, as Parquet for your own SQL.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv are two answers; ask for one")
    report = _report(by, loop, since.date() if since else None)
    people = None if as_csv else _people(root, loop, since)
    if as_json:
        click.echo(json.dumps({**_as_json(report), "people": _time(people)}, indent=2))
    elif as_csv:
        click.echo(_as_csv(report), nl=False)
    else:
        click.echo(as_table(report) + _said(people), nl=False)


def _report(by: Dimension, loop: str | None, since: date | None) -> CostReport:
    lake, began = Lake(lake_dir()), time.monotonic()

    def tell(read: int) -> None:
        if time.monotonic() - began > SLOW_S:
            click.echo(f"exporting the ledger: {read:,} calls read", err=True)

    asyncio.run(export(open_cli_store().store, lake, tell=tell))
    return cost_report(lake, by, loop=loop, since=since)


def _people(root: Path, loop: str | None, since: datetime | None) -> PeoplesTime | None:
    """What people's time came to, by the registry's rate; None where there is no registry to ask."""
    if not root.is_dir():
        return None
    try:
        rates = load_registry(root).prices
    except DefinitionError:
        # What was spent is asked for most when something is wrong.
        click.echo(
            "people's time is left out: the registry has problems, see `loops check`", err=True
        )
        return None
    began = int(since.replace(tzinfo=UTC).timestamp() * 1000) if since else None
    moments = asyncio.run(open_cli_store().store.answered(loop=loop, since=began))
    return peoples_time(rates, moments)


def _time(people: PeoplesTime | None) -> dict[str, Any] | None:
    if people is None:
        return None
    return {
        "cards": people.cards,
        "undeclared_cards": people.undeclared,
        "seconds": people.seconds,
        "usd": f"{usd(people.cost):f}",
    }


def _said(people: PeoplesTime | None) -> str:
    if people is None or not people.cards:
        return ""
    cards = "1 card was" if people.cards == 1 else f"{people.cards:,} cards were"
    if people.undeclared == people.cards:
        return f"{cards} answered by people; nobody has declared what their time costs.\n"
    more = (
        f", without {people.undeclared:,} of them that no rate covers" if people.undeclared else ""
    )
    spent = f"{people.seconds:,} s of their time, {money(usd(people.cost))} USD"
    return f"{cards} answered by people: {spent} beside the total{more}.\n"


def _as_json(report: CostReport) -> dict[str, Any]:
    return {
        "label": LABEL,
        "by": report.by,
        "loop": report.loop,
        "since": report.since.isoformat() if report.since else None,
        "rows": [_plain(row) for row in report.rows],
        "total": _plain(report.total),
        "remarks": list(report.remarks),
    }


def _as_csv(report: CostReport) -> str:
    lines = [_plain(row) for row in (*report.rows, report.total)]
    text = io.StringIO()
    # A column that only the rows or only the total has is empty in the other.
    writer = csv.DictWriter(text, list(dict.fromkeys(name for line in lines for name in line)))
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _plain(row: Any) -> dict[str, Any]:
    return {name: f"{v:f}" if isinstance(v, Decimal) else v for name, v in row.items()}


def as_table(report: CostReport) -> str:
    """The report for a terminal, never cut off."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    lines = (*report.rows, report.total)
    names = [name for name in _COLUMNS if name in (report.rows[0] if report.rows else report.total)]
    cells = {name: _cells(name, [line.get(name, "") for line in lines]) for name in names}
    keys = [str(row["key"] or _NOBODY[report.by]) for row in report.rows]
    table = Table(box=SIMPLE_HEAD, show_footer=True)
    table.add_column(f"\n{report.by.upper()}", footer="TOTAL")
    for name in names:
        side = "left" if name in _TEXTS else "right"
        table.add_column(_COLUMNS[name], justify=side, footer=cells[name][-1])
    for n, key in enumerate(keys):
        table.add_row(escape(key), *(escape(cells[name][n]) for name in names))
    # Cut off at the edge of a terminal, an amount would be another amount: the table is as wide as it must be.
    wide = Console(width=_WIDEST)
    console = Console(width=wide.measure(table).maximum)
    with console.capture() as drawn:
        console.print(table)
    return "\n".join((_title(report), drawn.get().rstrip("\n"), *report.remarks, ""))


def _title(report: CostReport) -> str:
    of = f" of {report.loop}" if report.loop else ""
    since = f" since {report.since} UTC" if report.since else ""
    return f"Cost{of} by {report.by}{since}, {LABEL}"


def _cells(name: str, values: list[Any]) -> list[str]:
    """A column's texts; amounts with as many digits as the longest needs, so that they add up as printed."""
    if name == "cost_per_accepted_usd":
        values = [shared(value) if value else value for value in values]
    digits = max((exact_digits(v) for v in values if isinstance(v, Decimal)), default=0)
    return [_cell(value, digits) for value in values]


def _cell(value: object, digits: int) -> str:
    match value:
        case None:
            return "-"
        case Decimal():
            return f"{value:,.{digits}f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
