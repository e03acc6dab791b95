"""Where does the money stand: what is held, settled, unknown and left, and whose is it?

One reading is one snapshot of the store. Whoever has no budget is metered all the same; `left` is known only where a
cap says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import add
from typing import Literal, TypeVar

from governance.alerts import amount, named
from governance.charges import unit_of
from governance.parts import Json, usd
from governance.records import Budget, ItemRow

K = TypeVar("K")
Whose = Literal["organisation", "team", "user", "loop", "agent", "model", "run"]
WHOSE: tuple[Whose, ...] = ("organisation", "team", "user", "loop", "agent", "model", "run")
RATE_MS = 60_000
"""What was settled within so long makes the spend per minute."""


@dataclass(frozen=True)
class Figures:
    """Money of one principal. `settled`, `unknown` and `unpriced` since the reading's first day; the rest is now."""

    settled: int = 0
    """pico-USD."""
    unknown: int = 0
    """pico-USD that tries of unknown outcome may have cost at most."""
    held: int = 0
    """pico-USD that calls under way may cost at most."""
    tries: int = 0
    unpriced: int = 0
    """Tries settled without a price, a model's or a tool's: not among `settled`, and not free."""
    under_way: int = 0
    per_minute: int = 0
    """pico-USD settled in the last minute."""

    @property
    def counts(self) -> tuple[int, ...]:
        """All of them, in their order."""
        return (
            self.settled, self.unknown, self.held, self.tries, self.unpriced, self.under_way, self.per_minute,
        )  # fmt: skip

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*map(add, self.counts, other.counts))

    def as_json(self) -> Json:
        """For `--json` outputs: USD as decimals, every digit."""
        money = ("settled", "unknown", "held", "per_minute")
        return {
            f"{name}_usd" if name in money else name: f"{usd(value):f}" if name in money else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class Leaf:
    """What one agent of a loop spent on one model; `model` is empty for tools and commands."""

    loop: str
    user: str
    team: str
    agent: str
    model: str
    figures: Figures

    def name(self, whose: Whose) -> str:
        """Its principal of that kind; an agent is named within its loop."""
        match whose:
            case "organisation":
                return ""
            case "agent":
                return f"{self.loop}/{self.agent}"
            case _:
                found: str = getattr(self, whose)
                return found


@dataclass(frozen=True)
class RunSum:
    """What one run spent, all its agents together."""

    run: str
    loop: str
    figures: Figures


@dataclass(frozen=True)
class Reading:
    """The meter at one moment. The same money stands in `leaves` and once more in `runs`."""

    at: int
    """When the store was asked, Unix milliseconds; everything committed before is in it."""
    since: int
    """The moment that `settled` and `unknown` count from: calls that began at a UTC midnight or later, or with the run."""
    leaves: tuple[Leaf, ...]
    runs: tuple[RunSum, ...]
    budgets: tuple[Budget, ...]
    """Of open runs, and of rules what was drawn on in the windows of now."""
    open_runs: tuple[str, ...] = ()
    waiting: tuple[ItemRow, ...] = ()
    """Items that wait for room in a budget, whoever waits longest first."""

    def by(self, whose: Whose) -> tuple[tuple[str, Figures], ...]:
        """Every principal of that kind, the dearest first; each way of looking at it adds up to the same."""
        if whose == "run":
            found = {one.run: one.figures for one in self.runs}
        else:
            found = added((leaf.name(whose), leaf.figures) for leaf in self.leaves)
        return tuple(sorted(found.items(), key=lambda f: (-_weight(f[1]), f[0])))

    @property
    def total(self) -> Figures:
        """Of the whole organisation."""
        return together(leaf.figures for leaf in self.leaves)

    def of(self, loop: str) -> "Reading":
        """What of it is a loop's, with the budgets of its own runs; the window of a run's is the run."""
        leaves = tuple(leaf for leaf in self.leaves if leaf.loop == loop)
        runs = tuple(one for one in self.runs if one.loop == loop)
        names = {one.run for one in runs}
        budgets = tuple(b for b in self.budgets if b.window in names)
        open_runs = tuple(r for r in self.open_runs if r in names)
        waiting = tuple(item for item in self.waiting if item.loop == loop)
        return replace(
            self, leaves=leaves, runs=runs, budgets=budgets, open_runs=open_runs, waiting=waiting
        )


def _weight(figures: Figures) -> int:
    return figures.settled + figures.unknown + figures.held


def budget_json(budget: Budget) -> Json:
    """For `--json` outputs, in the budget's unit; USD as decimals."""
    unit = unit_of(budget.budget)
    amounts = {
        "cap": budget.cap, "settled": budget.spent, "unknown": budget.unknown, "held": budget.held,
        "left": budget.left,
    }  # fmt: skip
    told = {k: f"{usd(v):f}" if unit == "usd" else v for k, v in amounts.items()}
    return {"budget": budget.budget, "window": budget.window, "unit": unit, **told}


def budget_cells(budget: Budget) -> tuple[str, ...]:
    """Whose it is, its window, then held, settled, unknown, left and cap, as people read them."""
    unit = unit_of(budget.budget)
    amounts = (budget.held, budget.spent, budget.unknown, budget.left, budget.cap)
    return (named(budget.budget), budget.window, *(amount(value, unit) for value in amounts))


def together(parts: Iterable[Figures]) -> Figures:
    """All of them added up."""
    return Figures(*map(sum, zip(*(one.counts for one in parts), strict=True)))


def added(parts: Iterable[tuple[K, Figures]]) -> dict[K, Figures]:
    """The figures of each key together."""
    found: dict[K, Figures] = {}
    for key, figures in parts:
        # Most keys come once: a month has tens of thousands of runs.
        found[key] = found[key] + figures if key in found else figures
    return found
