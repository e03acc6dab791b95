"""May this effect start now (T4)?

One transaction: what was done comes back as recorded, a stop or a missing proof is a refusal, a try that nobody
can vouch for is a doubt; else every budget holds its worst case and the try is open. Between this and `settling`
is the only place where the world is touched.
"""

from drivers.store import checks, money, raises, restored, room, spending, tries
from drivers.store.bodies import Body
from drivers.store.doubts import resolve
from drivers.store.journal import Asked, Done, note_intent, on_record
from drivers.store.sql import Row, Sql
from drivers.store.tries import End
from governance.effects import Admitted, Early, InDoubt, Intent, Refused
from governance.errors import StoreError


def intend(sql: Sql, intent: Intent, args: Body) -> Admitted | Refused | InDoubt | Early | Done:
    """T4. Raises `Diverged`, and `StoreError` when the same process is already in the middle of this effect."""
    asked = Asked(intent.place, intent.kind, intent.name, intent.head, args, intent.repeatable)
    recorded = on_record(sql, asked)
    if recorded is not None and recorded["status"] == "done":
        return Done(recorded)
    refused = checks.standing(sql, intent)
    if refused is not None:
        return refused
    last = _last_try(sql, intent) if recorded is not None else None
    last = restored.assume(sql, intent, asked, last)
    not_yet = _not_yet(sql, intent, args, last) if last is not None else None
    if not_yet is not None:
        return not_yet
    refused = checks.proven(sql, intent) or checks.permitted(sql, intent, args)
    if refused is not None:
        return refused
    attempt = last["attempt"] + 1 if last is not None else 1
    raises.expire(sql, intent.now)
    charges = (*intent.charges, *spending.drawn(sql, intent))
    shorts = money.hold(sql, intent.place.key, attempt, charges, name=intent.name)
    if shorts:
        return room.refuse(sql, intent, shorts)
    checks.use_card(sql, intent)
    note_intent(sql, asked, rule=intent.rule, attempt=attempt, now=intent.now)
    return Admitted(attempt, tries.open_try(sql, intent, attempt))


def _not_yet(
    sql: Sql, intent: Intent, args: Body, last: Row
) -> Refused | InDoubt | Early | Done | None:
    """Why the try before does not let it start now: nobody can vouch for that one, or its moment has not come."""
    doubted = last["status"] == "unknown" and not intent.repeatable
    doubt = resolve(sql, intent, args, last) if doubted else None
    if doubt is not None:
        return doubt
    until = tries.not_before(last)
    return Early(until) if until > intent.now else None


def _last_try(sql: Sql, intent: Intent) -> Row | None:
    """The newest try, closed: one left open by a process that is gone is lost."""
    key = intent.place.key
    row = tries.last_try(sql, key)
    if row is None or row["status"] != "open":
        return row
    # A heartbeat has no fence: whoever opens its run again is the only one left.
    ours = intent.place.owner != intent.place.run and row["fence"] == intent.fence
    if ours and row["lease"] >= intent.now:
        raise StoreError(
            f"effect {key!r} is under way: try {row['attempt']:,} was opened by this very process "
            "and is not settled. Settle it with done or fail before asking again."
        )
    tries.lose_try(sql, row, End("unknown", intent.now, error=tries.ABANDONED))
    return tries.last_try(sql, key)
