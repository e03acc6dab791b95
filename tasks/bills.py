"""Which days are compared with the provider's bill, and when is that?

Model by model and stretch by stretch, each resolved in a transaction of its own, so that one that cannot be resolved
holds up no other.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta

from governance.bill import (
    DAY_MS,
    Billed,
    Meters,
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
    store: Store, report: Report, days: Stretch, *, delay_ms: int, by: str, now: int, dry: bool
) -> tuple[Compared, ...]:
    """Compare these days by model, and resolve what the bill explains; with `dry` only compare.

    Days that were not final when the report was taken wait. Raises `StoreError` when calls of days long past go on
    being settled meanwhile.
    """
    last = min(days[1], last_final(min(now, report.taken_at), delay_ms))
    if last < days[0]:
        return ()
    seen = await store.observed(start_of(days[0]), start_of(last) + DAY_MS)
    found: list[Compared] = []
    for model, stretch in _plan(seen, report, (days[0], last)):
        found.append(await _one(store, report, model, stretch, (days[0], last), seen, by, now, dry))
    return tuple(found)


async def _one(
    store: Store, report: Report, model: str, days: Stretch, asked: Stretch, seen: Observed,
    by: str, now: int, dry: bool,
) -> Compared:  # fmt: skip
    for _ in range(_AGAIN):
        one = _look(report, model, days, asked, seen)
        if dry or one.state == "waits":
            return one
        if await store.reconcile(one, seen.seen, source=report.source, by=by, now=now):
            return one
        seen = await store.observed(start_of(days[0]), start_of(days[1]) + DAY_MS)
    raise StoreError(
        f"the bill of {model!r} for {days[0]} was compared {_AGAIN} times, and each time a call of it was settled "
        "meanwhile. Nothing of it was resolved; try again."
    )


def _look(report: Report, model: str, days: Stretch, asked: Stretch, seen: Observed) -> Compared:
    ours = within((t for t in seen.tries if t.model == model), days)
    billed = report.of(model, days)
    one = compared(model, days, billed or Billed(), ours, units_of)
    if days[0] < asked[0] or days[1] > asked[1]:
        return _waits(
            one, "a call reaches over midnight into a day that is not final, or was not asked for"
        )
    if billed is None:
        return _waits(one, "the report does not cover it")
    return one


def _waits(one: Compared, why: str) -> Compared:
    return replace(one, state="waits", why=why, shares=(), off=None, off_usd=None)


def _plan(seen: Observed, report: Report, days: Stretch) -> Iterable[tuple[str, Stretch]]:
    """Every model and stretch that we called or that was billed."""
    billed = {
        at for at, line in report.billed.items() if (line.tokens or Meters()).total or line.usd
    }
    models = {t.model for t in seen.tries} | {model for model, _ in billed}
    for model in sorted(models):
        ours = stretches((t for t in seen.tries if t.model == model), *days)
        held = {day for stretch in ours for day in days_of(stretch)}
        alone = [
            _alone(day)
            for m, day in billed
            if m == model and days[0] <= day <= days[1] and day not in held
        ]
        yield from ((model, stretch) for stretch in sorted((*ours, *alone)))


def _alone(day: date) -> Stretch:
    return day, day
