"""Has a budget without room surely some later, and is that waited for?

What calls under way hold comes back when they settle; what rolls rolls on; a day or a month ends. A cap of a run, and
whatever is more than a window ever has, is no matter of waiting.
"""

from collections.abc import Sequence
from typing import Any

from drivers.store import checks, thresholds
from drivers.store.short import Short, short_of
from drivers.store.sql import Row, Sql
from governance.budgets import BudgetRule
from governance.charges import Charge
from governance.draws import BEHIND_SLICES, RULE, period
from governance.effects import Intent, Refused, Stop
from governance.openings import next_window, rolled_out
from governance.parts import DAY_MS
from governance.waits import Wait

_OVER = "This heartbeat is over, and a raise resumes none: the next one looks anew."


def refuse(sql: Sql, intent: Intent, shorts: Sequence[Short]) -> Refused:
    """What becomes of an effect that these budgets have no room for: the end of its item, or a wait.

    One that never has room decides; else the one that has it last. Whoever asks for the last time is told of.
    """
    waits = [(short, _wait(sql, short, intent.now)) for short in shorts]
    for short, wait in waits:
        if wait is None:
            return _for_good(sql, intent, short)
    short, wait = max(((s, w) for s, w in waits if w is not None), key=lambda f: f[1].opens or 0)
    if not intent.asks_last:
        return Refused(short.stop, wait)
    thresholds.waited(sql, short, wait, key=intent.place.key, now=intent.now)
    too_long = _too_long(sql, intent, wait)
    return Refused(short.stop, wait) if too_long is None else _ended(sql, intent, short, too_long)


def missing(sql: Sql, wait: Wait, *, run: str, beside: int, now: int) -> Wait | Short | None:
    """What an item that waits still lacks: None when it has room, a `Short` when that has become final.

    `beside` is what others who were let go on before it will take from the same budget.
    """
    rule = thresholds.rule_of(sql, wait.budget)
    if rule is None and wait.budget.startswith(RULE):
        return None
    charge = _charge(wait, rule, run, now)
    row = _standing(sql, charge)
    if row is None:
        return None
    free = row["cap"] - row["held"] - row["spent"] - row["unknown"]
    if row["stopped"] is None and free >= wait.asked:
        return None if free >= wait.asked + beside else wait
    short = short_of(row, charge, "what waits")
    return _wait(sql, short, now) or short


def _wait(sql: Sql, short: Short, now: int) -> Wait | None:
    """The moment it has room if nothing else changes; None when it has none by itself."""
    charge, row = short.charge, short.row
    if charge.amount is None or row["stopped"] is not None:
        return None
    asked, rule = charge.amount, thresholds.rule_of(sql, charge.budget)
    opens = _opens(sql, rule, charge, asked, now) if rule is not None and rule.waits else None
    if opens is None and not short.held:
        return None
    window = f"last {rule.per}" if rule is not None and rule.rolls else charge.window
    zone = rule.timezone if rule is not None else "UTC"
    return Wait(charge.budget, window, asked, opens, short.held, zone)


def _opens(sql: Sql, rule: BudgetRule, charge: Charge, asked: int, now: int) -> int | None:
    if not rule.rolls:
        return next_window(rule, now) if asked <= rule.cap else None
    found = sql.all(
        "SELECT period, held + spent + unknown AS taken FROM budgets WHERE budget = :budget AND period >= :since"
        " AND period < :behind",
        budget=charge.budget, since=charge.since, behind=BEHIND_SLICES,
    )  # fmt: skip
    return rolled_out(rule, [(int(row["period"]), row["taken"]) for row in found], asked, now)


def _for_good(sql: Sql, intent: Intent, short: Short) -> Refused:
    thresholds.refused(sql, short, key=intent.place.key, now=intent.now)
    over = _OVER if intent.place.owner == intent.place.run else None
    return _ended(sql, intent, short, over)


def _ended(sql: Sql, intent: Intent, short: Short, why: str | None) -> Refused:
    stop = short.stop
    told = stop if why is None else Stop(stop.reason, f"{stop.detail} {why}")
    return checks.refuse(sql, intent.place, told, cap=short.cap)


def _too_long(sql: Sql, intent: Intent, wait: Wait) -> str | None:
    """Why it is not waited for, though it would come."""
    place, limit = intent.place, intent.wait_limit_ms
    if place.owner == place.run:
        return f"It has none {wait.until}, and a heartbeat waits for nobody. {_OVER}"
    if limit is None:
        return None
    item = sql.one("SELECT waited_ms FROM items WHERE item = :item", item=place.owner)
    waited = (item["waited_ms"] or 0) if item is not None else 0
    opens = intent.now if wait.held or wait.opens is None else wait.opens
    if waited + opens - intent.now <= limit and waited < limit:
        return None
    return (
        f"It has none {wait.until}; an item waits {limit / DAY_MS:,.1f} days in all at most (harness.max_wait), and "
        f"this one has waited {waited / DAY_MS:,.1f}."
    )


def _charge(wait: Wait, rule: BudgetRule | None, run: str, now: int) -> Charge:
    """What it asks for, as it would be charged now."""
    if rule is None:
        return Charge(wait.budget, wait.window, wait.asked)
    window, since = period(rule, run, now)
    return Charge(wait.budget, window, wait.asked, rule.cap, since)


def _standing(sql: Sql, charge: Charge) -> Row | None:
    """The budget as it stands in the window of now, also where nobody has drawn on it yet; None for one without cap."""
    rolls = "period >= :since AND period < :behind"
    which = "period = :period" if charge.since is None else rolls
    row = sql.one(
        "SELECT max(cap) AS cap, coalesce(sum(held), 0) AS held, coalesce(sum(spent), 0) AS spent,"
        f" coalesce(sum(unknown), 0) AS unknown, max(stopped) AS stopped FROM budgets"
        f" WHERE budget = :budget AND {which}",
        budget=charge.budget, period=charge.window, since=charge.since, behind=BEHIND_SLICES,
    )  # fmt: skip
    assert row is not None
    if row["cap"] is None and charge.cap is None:
        return None
    names = ("cap", "held", "spent", "unknown", "stopped")
    found: dict[str, Any] = {name: row[name] for name in names}
    cap = charge.cap if row["cap"] is None else row["cap"]
    return {**found, "cap": cap, "budget": charge.budget, "period": charge.window}
