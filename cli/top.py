"""Where does the money stand right now?"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from cli.source import json_option
from cli.store import open_cli_store
from cli.waits import wait_lines, waits_json
from cli.words import columns, now_ms, one_line, stamp
from governance.errors import StoreError
from governance.memory import Store
from governance.meter import (
    WHOSE,
    Figures,
    Reading,
    Whose,
    budget_cells,
    budget_json,
    together,
)
from governance.parts import Json, usd
from governance.records import Budget

TICK_S = 0.5
"""So often the age of the figures is shown anew, between two looks."""
NAME = 48
"""Characters of a name that are shown."""

_EXAMPLE = """\b
$ loops top --once --by loop
2026-11-26 12:31:05 UTC, 0 s old. Settled and unknown since 2026-11-26 00:00 UTC.
3 calls under way, 2 runs open

LOOP          HELD    SETTLED  UNKNOWN  UNDER WAY  TRIES  UNPRICED  USD/MIN
night-fix     0.1440  2.1031   0.0000   3          412    0         0.0419
all           0.1440  2.1031   0.0000   3          412    0         0.0419

BUDGET        WINDOW        HELD        SETTLED     UNKNOWN     LEFT         CAP          USED
run r5c01...  r5c01be7d2aa  0.1440 USD  1.2210 USD  0.0000 USD  18.6350 USD  20.0000 USD  6 %

$ loops top --once --json
{"at": "2026-11-26T12:31:05.120+00:00", "age_s": 0.0, "since": "2026-11-26T00:00:00.000+00:00",
 "under_way": 3, "open_runs": ["r5c01be7d2aa", ...], "total": {"settled_usd": "2.103117", ...},
 "by": {"loop": [{"name": "night-fix", "settled_usd": "2.103117", ...}], ...},
 "budgets": [{"budget": "run:r5c01be7d2aa:usd", "left": "18.635", ...}]}
"""


@dataclass(frozen=True)
class View:
    """What of a reading is shown."""

    by: tuple[Whose, ...]
    rows: int
    loop: str | None
    days: int


@click.command(epilog=_EXAMPLE)
@click.option("--once", is_flag=True, help="Look once and end; so it does without a terminal.")
@click.option(
    "--interval", type=click.FloatRange(0.2, 5), default=2.0, show_default=True, metavar="SECONDS",
    help="How often to look.",
)  # fmt: skip
@click.option(
    "--by",
    type=click.Choice(WHOSE),
    multiple=True,
    help="Whose money; may be given more than once.",
)
@click.option("--loop", metavar="NAME", help="Of this loop only.")
@click.option(
    "--days", type=click.IntRange(1, 31), default=1, show_default=True,
    help="Count what was settled today, or on so many UTC days with today.",
)  # fmt: skip
@click.option(
    "--rows", type=click.IntRange(1, 1000), default=10, show_default=True,
    help="Lines of each table, the dearest first.",
)  # fmt: skip
@json_option
def top(
    once: bool, interval: float, by: tuple[Whose, ...], loop: str | None, days: int, rows: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Show what is held, settled, unknown and left, and what is spent per minute.

    By organisation, team, user (the owner), loop, agent, model and run, with the budgets of open runs and of
    rules; live until you press Ctrl+C. SETTLED and UNKNOWN count from midnight UTC, HELD and UNDER WAY
    are now. A budget counts its whole window. Below stand the items that wait for room in one.

    Only the store is read. With --json each look is one line.
    """
    view = View(by or WHOSE, rows, loop, days)
    store = open_cli_store().store
    if once or not (as_json or sys.stdout.isatty()):
        reading = asyncio.run(_look(store, view))
        click.echo(
            json.dumps(as_object(reading, view)) if as_json else text_of(reading, view, now_ms())
        )
        return
    try:
        asyncio.run(_lines(store, view, interval) if as_json else _live(store, view, interval))
    except KeyboardInterrupt:
        return


async def _look(store: Store, view: View) -> Reading:
    reading = await store.meter(days=view.days, now=now_ms())
    return reading if view.loop is None else reading.of(loop=view.loop)


async def _lines(store: Store, view: View, interval: float) -> None:
    while True:
        click.echo(json.dumps(as_object(await _look(store, view), view)))
        await asyncio.sleep(interval)


async def _live(store: Store, view: View, interval: float) -> None:
    """Look again and again. A store that does not answer leaves the last figures, which say how old they are."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    reading, trouble, due = await _look(store, view), "", now_ms() + interval * 1000
    with Live(console=Console(highlight=False), auto_refresh=False, screen=True) as live:
        while True:
            told = text_of(reading, view, now_ms()) + trouble
            # Text, never markup: names come from files and agents.
            live.update(Text(told, no_wrap=True, overflow="ellipsis"), refresh=True)
            await asyncio.sleep(min(TICK_S, interval))
            if now_ms() < due:
                continue
            due = now_ms() + interval * 1000
            try:
                reading, trouble = await _look(store, view), ""
            except StoreError as error:
                trouble = f"\n\n{one_line(str(error))}"


def as_object(reading: Reading, view: View) -> Json:
    """For `--json`: every principal, whatever `--rows` says."""
    return {
        "at": stamp(reading.at),
        "age_s": (now_ms() - reading.at) / 1000,
        "since": stamp(reading.since),
        "loop": view.loop,
        "under_way": reading.total.under_way,
        "open_runs": list(reading.open_runs),
        "total": reading.total.as_json(),
        "by": {
            whose: [{"name": name, **figures.as_json()} for name, figures in reading.by(whose)]
            for whose in view.by
        },
        "budgets": [budget_json(budget) for budget in reading.budgets],
        "waiting": [
            {"item": i.item, "loop": i.loop, "run": i.run, "waits": waits_json(i)}
            for i in reading.waiting
        ],
    }


def text_of(reading: Reading, view: View, now: int) -> str:
    """The reading for a terminal."""
    since = (stamp(reading.since) or "")[:16].replace("T", " ")
    at = (stamp(reading.at) or "")[:19].replace("T", " ")
    head = (
        f"{at} UTC, {(now - reading.at) / 1000:.0f} s old. Settled and unknown since {since} UTC.\n"
        f"{reading.total.under_way:,} calls under way, {len(reading.open_runs):,} runs open"
    )
    tables = [_table(reading, whose, view.rows) for whose in view.by if whose != "organisation"]
    if tuple(view.by) == ("organisation",):
        tables = [columns([_HEAD, _cells("all", reading.total)])]
    waiting = _waiting(reading, view.rows, now)
    return "\n\n".join((head, *tables, *_budgets(reading.budgets, view.rows), *waiting))


def _waiting(reading: Reading, rows: int, now: int) -> list[str]:
    lines = wait_lines(reading.waiting, now)
    more = [f"({len(lines) - rows:,} more)"] if len(lines) > rows else []
    return ["\n".join((*lines[:rows], *more))] if lines else []


_HEAD = ("", "HELD", "SETTLED", "UNKNOWN", "UNDER WAY", "TRIES", "UNPRICED", "USD/MIN")


def _table(reading: Reading, whose: Whose, rows: int) -> str:
    named = [(name, figures) for name, figures in reading.by(whose) if name]
    lines = [_cells(one_line(name, NAME), figures) for name, figures in named[:rows]]
    if len(named) > rows:
        rest = together(figures for _, figures in named[rows:])
        lines.append(_cells(f"({len(named) - rows:,} more)", rest))
    return columns([(whose.upper(), *_HEAD[1:]), *lines, _cells("all", reading.total)])


def _cells(name: str, of: Figures) -> tuple[str, ...]:
    money = (f"{usd(m):,.4f}" for m in (of.held, of.settled, of.unknown))
    counts = (f"{n:,}" for n in (of.under_way, of.tries, of.unpriced))
    return (name, *money, *counts, f"{usd(of.per_minute):,.4f}")


def _budgets(budgets: Sequence[Budget], rows: int) -> list[str]:
    if not budgets:
        return []
    fullest = sorted(budgets, key=lambda b: -_used(b))
    lines = [
        (*(one_line(cell, NAME) for cell in budget_cells(b)), f"{_used(b)} %")
        for b in fullest[:rows]
    ]
    more = [f"({len(budgets) - rows:,} more)"] if len(budgets) > rows else []
    head = ("BUDGET", "WINDOW", "HELD", "SETTLED", "UNKNOWN", "LEFT", "CAP", "USED")
    return ["\n".join((columns([head, *lines]), *more))]


def _used(budget: Budget) -> int:
    """Percent taken for good, rounded down, so that 100 is all of it."""
    return 100 * (budget.spent + budget.unknown) // budget.cap if budget.cap else 100
