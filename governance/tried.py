"""Which days' bill may a call stand on?"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Literal

from governance.bill import Meters, Stretch, day_of

CLOCKS_MS = 500
"""By how much the provider's clock and ours may differ: a call nearer to midnight may stand on either day's bill."""


@dataclass(frozen=True)
class Tried:
    """One try of a model call, as far as a bill is concerned."""

    key: str
    attempt: int
    model: str
    asked: str
    """The model's id as it was asked for: its price is under that name."""
    status: Literal["open", "settled", "unknown"]
    began: int
    until: int
    """When it had surely ended, one way or the other: its settling, or the lease of one that nobody settled."""
    meters: Meters = field(default_factory=Meters)
    cost: int | None = 0
    """None: it has no price."""
    held: int = 0
    """Worst case in pico-USD."""
    held_tokens: int | None = None
    """Worst case in tokens; None when no budget counts them."""

    @cached_property
    def days(self) -> Stretch:
        """The days whose bill may hold it."""
        return day_of(self.began - CLOCKS_MS), day_of(self.until + CLOCKS_MS)


@dataclass(frozen=True)
class Observed:
    """The tries of some days, as they were at one moment."""

    seen: int
    """The newest settling number then; what is settled later was not looked at."""
    tries: tuple[Tried, ...]


def stretches(tries: Iterable[Tried], first: date, last: date) -> tuple[Stretch, ...]:
    """The days of a model from `first` to `last`, those that one call reaches over joined; others may stick out."""
    found: list[Stretch] = []
    for day in sorted({t.days for t in tries}):
        if found and day[0] <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], day[1]))
        else:
            found.append(day)
    return tuple(days for days in found if days[0] <= last and days[1] >= first)


def within(tries: Iterable[Tried], days: Stretch) -> tuple[Tried, ...]:
    """The tries of one stretch."""
    return tuple(t for t in tries if days[0] <= t.days[0] and t.days[1] <= days[1])
