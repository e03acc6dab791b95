"""What really happened (T5, T6)?

Finishing needs no fence: a process that was replaced still reports what its effect did and cost. The first `done`
is the result, a later one is kept as `late`, and money always settles.
"""

from typing import Literal

from drivers.store import money
from drivers.store.bodies import Body
from drivers.store.items import check_fence
from drivers.store.journal import Asked, Done, Result, done_row, note_done, note_intent, on_record
from drivers.store.people import settle_doubt
from drivers.store.sql import Row, Sql
from drivers.store.tries import End, clear_try, close_try, last_try, lose_try, one_try
from governance.effects import Place, Settlement
from governance.errors import StoreError
from governance.parts import Json


def done(sql: Sql, place: Place, attempt: int, settlement: Settlement, result: Body) -> Done:
    """T5: money, ledger, and the journal if nobody was first; settling a settled try changes no money.

    A try that a bill has settled meanwhile still brings its answer, and its figures stay the bill's.
    """
    row = _try_of(sql, place, attempt)
    kept = Result(
        result, settlement.head, settlement.labels, settlement.tree, settlement.state,
        settlement.evidence,
    )  # fmt: skip
    settled = row["status"] in ("done", "late")
    if not settled:
        money.settle(sql, place.key, attempt, settlement.paid, now=settlement.now)
    first = note_done(sql, place, kept, now=settlement.now)
    if not settled:
        end = End(
            status="done" if first else "late", now=settlement.now, error=settlement.error,
            attributes=settlement.attributes, usage=settlement.usage, cost=settlement.cost,
            cost_status=settlement.cost_status, price=settlement.price,
            response_model=settlement.response_model, list_cost=settlement.list_cost,
        )  # fmt: skip
        close_try(sql, row, end)
    if row["status"] == "unknown":
        why = f"try {attempt:,} did happen and has reported its result"
        settle_doubt(sql, place.key, "happened", why, now=settlement.now)
    return first or done_row(sql, place.key)


def fail(
    sql: Sql, place: Place, attempt: int, *, status: Literal["failed", "unknown"], error: str,
    attributes: Json, now: int,
) -> None:  # fmt: skip
    """T6: `failed` frees what was held or unknown, `unknown` keeps it counted; a settled try stays as it is."""
    row = _try_of(sql, place, attempt)
    end = End(status, now, error, attributes)
    if status == "failed" and row["status"] in ("open", "unknown"):
        clear_try(sql, row, end)
        if row["status"] == "unknown":
            why = f"try {attempt:,} surely did not happen"
            settle_doubt(sql, place.key, "not-happened", why, now=now)
    elif status == "unknown" and row["status"] == "open":
        lose_try(sql, row, end)


def record(sql: Sql, asked: Asked, result: Result, *, fence: int, now: int) -> Done:
    """A result without an effect outside: a step, a verdict, a refusal; the first is kept.

    Raises `StoreError` for an older fence, and where a try is on the ledger that may have happened: a refusal
    must not be put in its place.
    """
    row = on_record(sql, asked)
    if row is None or row["status"] != "done":
        if asked.place.owner != asked.place.run:
            check_fence(sql, asked.place.owner, fence)
        _nothing_pending(sql, asked.place.key, row)
        if row is None:
            note_intent(sql, asked, rule="", attempt=0, now=now)
        if done := note_done(sql, asked.place, result, now=now):
            return done
    return done_row(sql, asked.place.key)


def _nothing_pending(sql: Sql, key: str, row: Row | None) -> None:
    last = last_try(sql, key) if row is not None and not row["repeatable"] else None
    if last is not None and last["status"] in ("open", "unknown"):
        raise StoreError(
            f"effect {key!r} may have happened: try {last['attempt']:,} is {last['status']!r}. It is "
            "settled by its own outcome or by a person's answer, not by a result of ours."
        )


def _try_of(sql: Sql, place: Place, attempt: int) -> Row:
    row = one_try(sql, place.key, attempt)
    if row is None:
        raise StoreError(
            f"try {attempt:,} of effect {place.key!r} is not on the ledger. An effect is admitted "
            "with intend before it is settled."
        )
    return row
