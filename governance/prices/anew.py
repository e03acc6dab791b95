"""What would a call have cost by the prices we know now, and what is the difference?"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from governance.prices.book import Book
from governance.records import LedgerRow
from governance.upkeep import Rerated


@dataclass(frozen=True)
class Change:
    """Calls of one model, before and after; pico-USD of those whose cost is known."""

    model: str
    calls: int = 0
    was: int = 0
    now: int = 0
    was_unknown: int = 0
    """Calls whose cost nobody knew."""
    still_unknown: int = 0


def model_of(row: LedgerRow) -> str:
    """The model a call asked for, by the provider's own id."""
    return str(row.attributes.get("gen_ai.request.model", row.name))


def priced_anew(row: LedgerRow, book: Book) -> Rerated | None:
    """The call by this book, at the moment it began; None for what is no answered call of a model."""
    if row.kind != "model" or row.status not in ("done", "late"):
        return None
    rated = book.rate(row.usage, model_of(row), row.started_at)
    return Rerated(row.key, row.attempt, rated.cost, rated.list_cost, rated.status, rated.price)


def changes(
    pairs: Iterable[tuple[LedgerRow, Rerated]], known: tuple[Change, ...] = ()
) -> tuple[Change, ...]:
    """What the calls came to and would have, by model, added to what is `known`."""
    by = {change.model: change for change in known}
    for row, anew in pairs:
        model = model_of(row)
        so_far = by.get(model, Change(model))
        by[model] = replace(
            so_far,
            calls=so_far.calls + 1,
            was=so_far.was + (row.cost or 0),
            now=so_far.now + (anew.cost or 0),
            was_unknown=so_far.was_unknown + (row.cost is None),
            still_unknown=so_far.still_unknown + (anew.cost is None),
        )
    return tuple(by[model] for model in sorted(by))
