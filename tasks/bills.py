"""Which days are compared with the provider's bill, and when is that?

Model by model and stretch by stretch, each resolved in a transaction of its own, so that one that cannot be resolved
holds up no other.
"""

from dataclasses import replace
from datetime import date, timedelta

from governance.bill import (
    Billed,
    Meters,
    PriceOf,
    Report,
    Stretch,
    day_of,
    days_of,
    last_final,
    start_of,
    units_of,
)
from governance.errors import StoreError
from governance.memory import Store
from governance.parts import DAY_MS
from governance.prices import Book
from governance.reconcile import Compared, compared
from governance.tried import Observed, stretches, within

FINAL_AFTER_H = 24
"""Hours after the end of a UTC day until its report is taken for final, where nobody says otherwise."""
HOUR_MS = 3_600_000
LOOK_BACK = 7
"""Final days that are compared again each time, in case a provider corrects its bill."""
FARTHEST = 90
"""Days; what is older is compared when it is asked for by day."""
_AGAIN = 5


async def due_days(store: Store, *, now: int, delay_ms: int) -> Stretch:
    """The final days that a look of now is about: the last week, and back to the oldest unknown call."""
    last = last_final(now, delay_ms)
    first = last - timedelta(LOOK_BACK - 1)
    began = await store.oldest_unknown()
    if began is not None:
        first = min(first, max(day_of(began), last - timedelta(FARTHEST - 1)))
    return first, last


async def reconcile_days(
    store: Store, report: Report, days: Stretch, *, book: Book, delay_ms: int, by: str, now: int,
    dry: bool,
) -> tuple[Compared, ...]:  # fmt: skip
    """Compare these days by model, and resolve what the bill explains at the prices of `book`; with `dry` only compare.

    Days that were not final when the report was taken wait. Raises `StoreError` when calls of days long past go on
    being settled meanwhile.
    """
    last = min(days[1], last_final(min(now, report.taken_at), delay_ms))
    asked, found, price_of = (days[0], last), list[Compared](), units_of(book)
    upto: dict[str, date] = {}
    # Day by day, so that only one day's calls are held in mind.
    for day in days_of(asked):
        seen = await _seen(store, (day, day))
        for model in _models(seen, report, day):
            stretch, whole = await _whole(store, model, day, asked, seen)
            if upto.get(model, date.min) < day:
                one = await _one(
                    store, report, model, stretch, asked, whole, price_of, by, now, dry
                )
                found.append(one)
                upto[model] = stretch[1]
    return tuple(sorted(found, key=lambda one: (one.days, one.model)))


async def _whole(
    store: Store, model: str, day: date, asked: Stretch, seen: Observed
) -> tuple[Stretch, Observed]:
    """The stretch of a model that a day belongs to, and all its tries, as far as it stays within what is asked."""
    known = (day, day)
    while True:
        stretch = next(
            iter(stretches((t for t in seen.tries if t.model == model), day, day)), known
        )
        wanted = (max(stretch[0], asked[0]), min(stretch[1], asked[1]))
        if known[0] <= wanted[0] and wanted[1] <= known[1]:
            return stretch, seen
        seen, known = await _seen(store, wanted), wanted


async def _one(
    store: Store, report: Report, model: str, days: Stretch, asked: Stretch, seen: Observed,
    price_of: PriceOf, by: str, now: int, dry: bool,
) -> Compared:  # fmt: skip
    for _ in range(_AGAIN):
        one = _look(report, model, days, asked, seen, price_of)
        if dry or one.state == "waits":
            return one
        if await store.reconcile(one, seen.seen, source=report.source, by=by, now=now):
            return one
        seen = await _seen(store, days)
    raise StoreError(
        f"the bill of {model!r} for {days[0]} was compared {_AGAIN} times, and each time a call of it was settled "
        "meanwhile. Nothing of it was resolved; try again."
    )


async def _seen(store: Store, days: Stretch) -> Observed:
    return await store.observed(start_of(days[0]), start_of(days[1]) + DAY_MS)


def _look(
    report: Report, model: str, days: Stretch, asked: Stretch, seen: Observed, price_of: PriceOf
) -> Compared:
    ours = within((t for t in seen.tries if t.model == model), days)
    billed = report.of(model, days)
    one = compared(model, days, billed or Billed(), ours, price_of)
    if days[0] < asked[0] or days[1] > asked[1]:
        why = "a call reaches over midnight into a day that is not final, or was not asked for"
        return _waits(one, why)
    if billed is None:
        return _waits(one, "the report does not cover it")
    return one


def _waits(one: Compared, why: str) -> Compared:
    return replace(one, state="waits", why=why, shares=(), off=None, off_usd=None)


def _models(seen: Observed, report: Report, day: date) -> list[str]:
    """Every model that we called on that day, or that was billed."""
    called = {t.model for t in seen.tries if t.days[0] <= day <= t.days[1]}
    lines = ((model, line) for (model, on), line in report.billed.items() if on == day)
    return sorted(called | {m for m, line in lines if (line.tokens or Meters()).total or line.usd})
