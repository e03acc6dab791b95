"""What did it cost, broken down one way, and does the breakdown add up?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

from analytics.build import built, rows
from analytics.lake import Lake

Dimension = Literal["loop", "team", "user", "role", "agent", "model", "run", "item", "call", "day"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)

LABEL = "computed, not reconciled"
"""Goes with every amount we show: no invoice has been read."""

_QUERY = """
SELECT b.*, i.loop, i.outcome, a.accepted, a.cost_per_accepted_usd
FROM cost_by b
LEFT JOIN items i ON b.dimension = 'item' AND i.item = b.key
LEFT JOIN cost_per_accepted a
  ON (b.dimension = 'loop' AND a.loop = b.key) OR (b.dimension = 'total' AND a.loop IS NULL)
WHERE b.dimension = $1
ORDER BY CASE WHEN $1 = 'day' THEN b.key END, b.cost_usd DESC NULLS LAST, b.key
"""
_CALLS = "SELECT * FROM cost_by_call ORDER BY cost_usd DESC NULLS LAST, key"
_ONLY: dict[str, tuple[Dimension | Literal["total"], ...]] = {
    "loop": ("item", "call"),
    "outcome": ("item",),
    "accepted": ("loop", "total"),
    "cost_per_accepted_usd": ("loop", "total"),
}
"""Columns that mean something in these dimensions alone."""


@dataclass(frozen=True)
class CostReport:
    """Rows of one dimension and their total, by column name; money is Decimal in USD."""

    by: Dimension
    loop: str | None
    since: date | None
    rows: tuple[Mapping[str, Any], ...]
    total: Mapping[str, Any]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the table leaves open, a sentence each."""
        total, said = self.total, list[str]()
        if not total["model_calls"] + total["other_calls"]:
            said.append("No settled call is on the ledger for this.")
        if n := total["unpriced_calls"]:
            said.append(
                f"{_calls(n)} of a model without a price: the total is without what that costs."
            )
        if n := total["undeclared_calls"]:
            said.append(
                f"{_calls(n)} of tools or sandboxes whose price nobody has declared: the total is without what "
                "they cost."
            )
        if total["list_cost_usd"] not in (None, total["cost_usd"]):
            said.append(f"At list price, where there is one: {money(total['list_cost_usd'])} USD.")
        if n := total["unknown_calls"]:
            most = money(total["unknown_usd_at_most"])
            said.append(f"{_calls(n)} whose outcome nobody knows: at most {most} USD more.")
        said.append(self._per_accepted())
        return tuple(said)

    def _per_accepted(self) -> str:
        accepted, each = self.total["accepted"], self.total["cost_per_accepted_usd"]
        if each is None:
            return "0 accepted deliveries, so there is no cost per accepted delivery."
        noun = "delivery" if accepted == 1 else "deliveries"
        return (
            f"{accepted:,} accepted {noun}; with all work that led to none, {money(each)} USD each."
        )


def cost_report(
    lake: Lake, by: Dimension, *, loop: str | None = None, since: date | None = None
) -> CostReport:
    """The cost in the lake, of one loop or since one UTC day (of a call's start) when asked.

    Raises:
        StoreError: The lake cannot be read.
    """
    needed = ("cost_by", "cost_per_accepted", *(("cost_by_call",) if by == "call" else ()))
    with built(lake, loop=loop, since=since, only=needed) as tables:
        calls = rows(tables, _CALLS) if by == "call" else rows(tables, _QUERY, (by,))
        found = tuple(_kept(row) for row in calls)
        (total,) = rows(tables, _QUERY, ("total",))
    return CostReport(by, loop, since, found, _kept(total))


def money(amount: Decimal) -> str:
    """An amount with every digit it has."""
    return f"{amount:,.{exact_digits(amount)}f}"


def shared(amount: Decimal) -> Decimal:
    """A quotient, rounded to micro-USD to be read."""
    return amount.quantize(Decimal("0.000001"))


def exact_digits(amount: Decimal) -> int:
    """How many digits after the point it needs, two at least."""
    return max(2, len(f"{amount:f}".partition(".")[2].rstrip("0")))


def _kept(row: Mapping[str, Any]) -> Mapping[str, Any]:
    dimension = row["dimension"]
    return {
        name: value for name, value in row.items() if dimension in _ONLY.get(name, (dimension,))
    }


def _calls(n: int) -> str:
    return f"{n:,} call{'' if n == 1 else 's'}"
