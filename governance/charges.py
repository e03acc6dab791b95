"""What does an effect take, and from which budgets?

Money is whole pico-USD (`parts.PICO`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Amounts:
    """What one effect takes of everything that a budget may count."""

    usd: int | None = 0
    """pico-USD; None where there is no price, which is not a price of zero."""
    tokens: int = 0
    steps: int = 0
    calls: int = 0
    concurrent: int = 0
    """1 while the call is under way."""

    def of(self, unit: str) -> int | None:
        """How much it takes of that unit."""
        found: int | None = getattr(self, unit)
        return found


def unit_of(budget: str) -> str:
    """What a budget counts: what follows the last colon of its name."""
    return budget.rpartition(":")[2]


@dataclass(frozen=True)
class Charge:
    """What an effect may cost one budget at most. `budget` is `<principal>:<unit>`, `window` its period."""

    budget: str
    window: str
    amount: int | None
    """None when nobody can say, for want of a price: then there is no room for it."""
    cap: int | None = None
    """The cap of a window that is drawn on for the first time; None where a window without a cap is not charged."""
    since: str | None = None
    """Of a budget that rolls, the oldest window that still counts."""

    @property
    def unit(self) -> str:
        """What the budget counts."""
        return unit_of(self.budget)
