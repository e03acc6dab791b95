"""How far is a run or an item from its caps, what is an agent told about that, and what is it to raise one?

Amounts are in the unit that a budget's name ends in: `usd` in pico-USD, `minutes` in milliseconds awake, all others
as they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from governance.briefs import cap_brief
from governance.charges import unit_of
from governance.effects import StopReason
from governance.parts import Json, usd
from governance.records import Budget

CAPPED: tuple[StopReason, ...] = ("steps", "tokens", "cost", "minutes", "budget")
"""Stops that a raised cap undoes; each is of the item as a whole, whichever of its agents came upon it."""

MINUTE = 60_000


@dataclass(frozen=True)
class Raising:
    """What a person wants of one budget in one window."""

    budget: str
    window: str
    seen: int
    """The cap that they were shown."""
    to: int
    why: str
    by: str
    until: int | None = None
    """Unix milliseconds; from then on the cap is as if it had never been raised by this. None: as long as the window."""


@dataclass(frozen=True)
class RaiseRow:
    """One raise on record."""

    nth: int
    budget: str
    window: str
    base: int
    """The cap without any raise."""
    cap: int
    why: str
    by: str
    at: int
    until: int | None
    ended_at: int | None
    """When its time was over."""


@dataclass(frozen=True)
class Raised:
    """It is in force, and what had stopped for it goes on."""

    row: RaiseRow
    before: int
    resumed: tuple[str, ...]
    """Items that are dispatched anew."""
    left: tuple[tuple[str, str], ...]
    """Items that had stopped for it and cannot go on, each with the reason."""
    woken: tuple[str, ...] = ()
    """Items that waited for it and have room now."""


@dataclass(frozen=True)
class NotRaised:
    """Nothing was changed, and why."""

    why: str


def minutes_of(item: str) -> str:
    """The budget of an item's awake time; its cap is its definition's, until somebody raises it."""
    return f"item:{item}:minutes"


def own_caps(run: str, owner: str) -> tuple[str, ...]:
    """The budgets that an item (or a heartbeat) may have of its own and of its run."""
    return (f"item:{owner}:steps", *(f"run:{run}:{unit}" for unit in ("steps", "tokens", "usd")))


def amount(value: int, unit: str) -> str:
    """An amount as people read it, without its unit."""
    if unit == "usd":
        return f"{usd(value).normalize():,f}"
    return f"{value / MINUTE:,.1f}" if unit == "minutes" else f"{value:,}"


@dataclass(frozen=True)
class Heard:
    """Of which caps an agent was told: that one is near, that one was raised; by budget."""

    near: Mapping[str, int] = field(default_factory=dict[str, int])
    raised: Mapping[str, int] = field(default_factory=dict[str, int])

    def and_now(self, told: Json) -> "Heard":
        """With what it was told last."""
        return Heard({**self.near, **told["near"]}, {**self.raised, **told["raised"]})


def told_of(budgets: Sequence[Budget], share: float, heard: Heard) -> Json | None:
    """What an agent must know before its next step, once for each cap; None when there is nothing new.

    What is only held counts as neither used nor left.
    """
    near = [b for b in budgets if _near(b, share) and heard.near.get(b.budget) != b.cap]
    more = [b for b in budgets if b not in near and _more(b, heard)]
    if not near and not more:
        return None
    text = cap_brief([_line(b) for b in near], [_line(b) for b in more])
    caps = ({b.budget: b.cap for b in some} for some in (near, more))
    return {"text": text, **dict(zip(("near", "raised"), caps, strict=True))}


def _more(budget: Budget, heard: Heard) -> bool:
    known = heard.near.get(budget.budget)
    return known is not None and budget.cap > max(known, heard.raised.get(budget.budget, 0))


def _near(budget: Budget, share: float) -> bool:
    return share < 1 and budget.spent + budget.unknown >= math.ceil(share * budget.cap)


def _line(budget: Budget) -> str:
    unit = unit_of(budget.budget)
    whose = "this item's" if budget.budget.startswith("item:") else "this run's"
    rest, cap = (amount(max(0, value), unit) for value in (budget.left, budget.cap))
    named = {"usd": "USD", "minutes": "awake minutes"}.get(unit, unit)
    return f"{rest} of {whose} {cap} {named} are left"
