"""Which caps does a run or an item have, how do they stand, and what does a person mean by an amount?"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation

import click

from cli.waits import waits_json
from cli.words import exact, moment_of, now_ms, stamp
from governance.charges import unit_of
from governance.memory import Store
from governance.parts import Json, pico
from governance.pinned import Pinned
from governance.raises import MINUTE, RaiseRow, amount, minutes_of
from governance.records import Budget, ItemRow

HEAD = ("BUDGET", "WINDOW", "CAP", "SPENT", "HELD", "UNKNOWN", "LEFT")
_SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Shown:
    """One budget, with its raises, what it has stopped, and what waits for room in it."""

    budget: Budget
    raises: tuple[RaiseRow, ...]
    stopped: tuple[ItemRow, ...]
    waiting: tuple[ItemRow, ...]

    def as_json(self) -> Json:
        """For `--json` outputs."""
        told = [raise_json(row) for row in self.raises]
        items = [
            {
                "item": i.item,
                "title": i.finding.title,
                "stop": asdict(i.stop) if i.stop else None,
            }
            for i in self.stopped
        ]
        waiting = [{"item": i.item, "waits": waits_json(i)} for i in self.waiting]
        return {**budget_json(self.budget), "raises": told, "stopped": items, "waiting": waiting}


async def caps_of_run(store: Store, run: str) -> tuple[Budget, ...]:
    """Every budget of a run and its items."""
    found = list(await store.in_window(run))
    for item in await store.items(run=run, limit=5_000):
        found += [b for b in await caps_of_item(store, item) if _minutes(b)]
    return tuple(sorted(found, key=lambda b: b.budget))


async def caps_of_item(store: Store, item: ItemRow) -> tuple[Budget, ...]:
    """The caps of an item and of its run. Raises `Damaged` when its definition is not what was pinned."""
    pinned = Pinned.model_validate_json(await store.definition(item.definition))
    limit = pinned.loop.harness.max_minutes * MINUTE
    return await store.caps(item.run, item.item, awake_limit_ms=limit, now=now_ms())


async def find_budget(store: Store, name: str, window: str | None) -> Budget:
    """One budget in a window, the newest by default. Raises `click.ClickException` when there is none."""
    whose, _, rest = name.partition(":")
    item = await store.item(rest.rpartition(":")[0]) if whose == "item" else None
    if item is not None and name == minutes_of(item.item):
        found: Sequence[Budget] = [b for b in await caps_of_item(store, item) if _minutes(b)]
    else:
        found = await store.windows(name)
    for budget in found:
        if window in (None, budget.window):
            return budget
    where = f" in window {window!r}" if window else ""
    raise click.ClickException(
        f"there is no budget {name!r}{where}. `loops budget list RUN` (or ITEM) names those of a run or an item."
    )


async def look_at(store: Store, budget: Budget) -> Shown:
    """A budget with its raises, what it has stopped, and what waits for room in it."""
    name, window = budget.budget, budget.window
    waiting = [i for i in await store.waiting() if i.waits and name in i.waits.budgets]
    raises, stopped = await store.raises_of(name, window), await store.stopped_for(name, window)
    return Shown(budget, raises, stopped, tuple(waiting))


def _minutes(budget: Budget) -> bool:
    return unit_of(budget.budget) == "minutes"


def line(budget: Budget) -> tuple[str, ...]:
    """A budget's row of a table."""
    unit = unit_of(budget.budget)
    figures = (budget.cap, budget.spent, budget.held, budget.unknown, budget.left)
    return (budget.budget, budget.window, *(amount(figure, unit) for figure in figures))


def budget_json(budget: Budget) -> Json:
    """A budget as programs read it: USD as decimals in text, minutes as a number, all else whole."""
    unit = unit_of(budget.budget)
    figures = {
        "cap": budget.cap, "spent": budget.spent, "held": budget.held, "unknown": budget.unknown,
        "left": budget.left,
    }  # fmt: skip
    told = {name: figure(value, unit) for name, value in figures.items()}
    return {"budget": budget.budget, "window": budget.window, "unit": unit, **told}


def raise_json(row: RaiseRow) -> Json:
    """A raise as programs read it."""
    unit = unit_of(row.budget)
    return {
        "base": figure(row.base, unit), "cap": figure(row.cap, unit), "why": row.why, "by": row.by,
        "at": stamp(row.at), "until": stamp(row.until), "ended_at": stamp(row.ended_at),
    }  # fmt: skip


def figure(value: int, unit: str) -> object:
    """One amount as programs read it."""
    if unit == "usd":
        return exact(value)
    return round(value / MINUTE, 3) if unit == "minutes" else value


def amount_of(text: str, unit: str) -> int:
    """What a person means by an amount of that unit. Raises `click.UsageError`."""
    try:
        told = Decimal(text.replace("_", ""))
    except InvalidOperation:
        told = Decimal("NaN")
    whole = unit not in ("usd", "minutes")
    if not told.is_finite() or not 0 < told <= 10**12 or (whole and told != int(told)):
        kind = "a whole number" if whole else "a number"
        raise click.UsageError(
            f"--to takes {kind} of {unit} above 0, at most 10^12; {text!r} is not"
        )
    return pico(told) if unit == "usd" else int(told * MINUTE) if unit == "minutes" else int(told)


def end_of(text: str, now: int) -> int:
    """A moment to come: how long from now (`12h`, `3d`), or RFC 3339 with its offset. Raises `click.UsageError`."""
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", text):
        return now + int(timedelta(**{_SPANS[found[2]]: int(found[1])}).total_seconds() * 1000)
    until = moment_of(text)
    if until is None:
        raise click.UsageError(
            f"--until takes how long ('90m', '12h', '3d') or a moment with its offset "
            f"('2026-12-01T00:00:00Z'); {text!r} is neither"
        )
    if until <= now:
        raise click.UsageError(f"--until is to come, and {text!r} has passed")
    return until
