"""Which budgets does this call draw on, and how much of each at most?"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

from governance.budgets import BudgetRule
from governance.charges import Amounts, Charge
from governance.effects import Kind, Principal

SLICES = 20
"""A rolling window is counted in so many slices; one more is looked at, so that no window ever holds too much."""
RULE = "rule:"
"""How the names of their budgets begin."""
SLICE = 15
"""Digits of a slice's name, the moment it begins."""
BEHIND_SLICES = "1"
"""Every name of a slice comes before this, and every other name of a window behind: a rule may roll that was a day's."""
NOW = "now"
"""The window of calls at one moment."""


@dataclass(frozen=True)
class Drawing:
    """Who draws, for what."""

    run: str
    by: Principal
    kind: Kind
    name: str
    """The model's name in org.yaml, or `connector.tool`."""


def draws(
    rules: Iterable[BudgetRule], drawing: Drawing, most: Amounts, now: int
) -> tuple[Charge, ...]:
    """What the call takes from the budgets of every rule that matches; `now` is the moment it is asked for."""
    found: list[Charge] = []
    for rule in rules:
        if matches(rule, drawing):
            amount = most.of(rule.unit)
            if amount is None or amount > 0:
                found.append(_charge(rule, drawing, amount, now))
    return tuple(found)


def begins(rules: Iterable[BudgetRule], run: str, by: Principal, now: int) -> tuple[Charge, ...]:
    """What a heartbeat takes by beginning."""
    drawing = Drawing(run, by, "step", "")
    return tuple(_charge(rule, drawing, 1, now) for rule in rules if counts(rule, by))


def counts(rule: BudgetRule, by: Principal) -> bool:
    """Does the rule count the runs of this loop?"""
    return rule.unit == "runs" and _whose(rule, by)


def matches(rule: BudgetRule, drawing: Drawing) -> bool:
    """Is this call one that the rule counts?"""
    of_model, of_tool = drawing.kind == "model", drawing.kind == "tool"
    if rule.model != "*" and not (of_model and fnmatchcase(drawing.name, rule.model)):
        return False
    if rule.tool != "*" and not (of_tool and fnmatchcase(drawing.name, rule.tool)):
        return False
    if "model" in rule.each and not of_model:
        return False
    agent = fnmatchcase(drawing.by.agent, rule.agent)
    return rule.unit != "runs" and agent and _whose(rule, drawing.by)


def _whose(rule: BudgetRule, by: Principal) -> bool:
    pairs = ((by.team, rule.team), (by.owner, rule.user), (by.loop, rule.loop))
    return all(fnmatchcase(name, wanted) for name, wanted in pairs)


def _charge(rule: BudgetRule, drawing: Drawing, amount: int | None, now: int) -> Charge:
    by = drawing.by
    values = {
        "team": by.team, "user": by.owner, "loop": by.loop, "agent": by.agent, "model": drawing.name,
    }  # fmt: skip
    who = "+".join(values[whose] for whose in sorted(set(rule.each))) or "all"
    window, since = period(rule, drawing.run, now)
    return Charge(f"{RULE}{rule.name}/{who}:{rule.unit}", window, amount, rule.cap, since)


def period(rule: BudgetRule, run: str, now: int) -> tuple[str, str | None]:
    """The name of the window that `now` falls in, and of a rolling one the oldest slice that still counts."""
    if rule.per is None:
        return NOW, None
    if rule.per == "run":
        return run, None
    if rule.rolls:
        width = width_of(rule)
        nth = now // width
        return _slice(nth * width), _slice((nth - SLICES) * width)
    day = datetime.fromtimestamp(now / 1000, ZoneInfo(rule.timezone)).date().isoformat()
    return (day if rule.per == "day" else day[:7]), None


def width_of(rule: BudgetRule) -> int:
    """How long one slice of a rule that rolls is, in milliseconds."""
    assert rule.rolls is not None
    return rule.rolls // timedelta(milliseconds=SLICES)


def _slice(began: int) -> str:
    # Of one length, so that names are ordered as moments are.
    return f"{began:0{SLICE}d}"
