"""What did it cost that people answered cards?

Shown beside the cost of loops and never added to it: a budget is about what is billed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from governance.parts import pico
from governance.prices.contract import Contract, holding


@dataclass(frozen=True)
class PeoplesTime:
    """Cards that people answered, and what their time comes to at the declared rate."""

    cards: int = 0
    undeclared: int = 0
    """Cards answered on a day without a rate: what these cost is not in `cost`."""
    seconds: int = 0
    cost: int = 0
    """pico-USD."""


def peoples_time(contract: Contract, answered_at: Iterable[int]) -> PeoplesTime:
    """What answers given at these moments cost, each by the rate of its day."""
    cards = undeclared = seconds = 0
    owed = Decimal(0)
    for moment in answered_at:
        cards += 1
        rate = holding(contract.people, moment)
        if rate is None:
            undeclared += 1
        else:
            seconds += rate.card_seconds
            owed += rate.hour_usd * rate.card_seconds
    # Divided once: a third of a cent a card is lost nowhere.
    return PeoplesTime(cards, undeclared, seconds, pico(owed / 3600))
