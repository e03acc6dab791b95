"""What does a call of a tool or a command in a sandbox cost, at the rate that was declared for it?

A price nobody has declared is unknown, which is not 0: such a row says `undeclared`, has no cost, and a cap on
money does not count it.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext

from governance.parts import Json, pico
from governance.prices.book import Rated
from governance.prices.contract import Contract, holding

UNDECLARED = Rated(None, None, "undeclared", {})


def price_per_call(price_usd: Decimal | None) -> Rated:
    """What one call of a tool costs, by its label in org.yaml."""
    if price_usd is None:
        return UNDECLARED
    pinned: Json = {"per_call": f"{price_usd:f}", "price_book": "org.yaml"}
    return _rated(pico(price_usd), pinned)


@dataclass(frozen=True)
class BoxTime:
    """How big a box is, and how long one effect in it may take."""

    cpus: float
    memory_mb: int
    limit_ms: int


def box_cost(contract: Contract, at_ms: int, box: BoxTime, milliseconds: int) -> Rated:
    """What this box costs for so long, at the rate of the moment it was asked for."""
    rate = holding(contract.sandbox, at_ms)
    if rate is None:
        return UNDECLARED
    with localcontext() as exact:
        exact.prec = 60
        vcpus, gib = Decimal(str(box.cpus)), Decimal(box.memory_mb) / 1024
        a_second = vcpus * rate.vcpu_second_usd + gib * rate.gib_second_usd
        cost = pico(a_second * milliseconds / 1000)
    pinned: Json = {
        "vcpu_second": f"{rate.vcpu_second_usd:f}",
        "gib_second": f"{rate.gib_second_usd:f}",
        "vcpus": f"{vcpus:f}",
        "gib": f"{gib:f}",
        "milliseconds": milliseconds,
        "price_book": "prices.yaml",
    }
    return _rated(cost, pinned)


def _rated(cost: int, pinned: Json) -> Rated:
    return Rated(cost, cost, "priced" if cost else "free", pinned)
