"""Is a loop paused because it spent for nothing, and who let it go on?"""

import json

from drivers.store import rows
from drivers.store.outbox import send
from drivers.store.pages import moved, note, write_page
from drivers.store.sql import Sql
from governance.breaker import REMEMBERED, BreakerRow, Ending
from governance.errors import StoreError
from governance.parts import canonical
from governance.records import PageMoved

_ASKED = "j.kind = 'model' AND l.status <> 'failed'"


def open_breaker(sql: Sql, loop: str) -> BreakerRow | None:
    """The pause that nobody has ended yet."""
    row = sql.one(
        "SELECT * FROM breakers WHERE loop = :loop AND resumed_at IS NULL ORDER BY nth DESC LIMIT 1",
        loop=loop,
    )
    return None if row is None else rows.breaker(row)


def endings(sql: Sql, loop: str) -> tuple[Ending, ...]:
    """How the loop's closed runs ended, newest first, back to a fruitful one or to when it was last let go on."""
    since = sql.one("SELECT max(resumed_at) AS at FROM breakers WHERE loop = :loop", loop=loop)
    runs = sql.all(
        "SELECT * FROM runs WHERE loop = :loop AND status = 'closed' AND opened_at > :since"
        " ORDER BY closed_at DESC, opened_at DESC, run LIMIT :most",
        loop=loop, since=(since["at"] or 0) if since is not None else 0, most=REMEMBERED,
    )  # fmt: skip
    found: list[Ending] = []
    for run in runs:
        found.append(_ending(sql, run["run"], run["stop_reason"]))
        if found[-1].fruitful:
            break
    return tuple(found)


def _ending(sql: Sql, run: str, stopped: str | None) -> Ending:
    items = sql.all(
        "SELECT dedupe, status, stop_reason FROM items WHERE run = :run ORDER BY nth", run=run
    )
    paid = sql.one(
        f"SELECT coalesce(sum(l.cost), 0) AS cost, sum(CASE WHEN {_ASKED} THEN 1 ELSE 0 END) AS asked"
        " FROM ledger l JOIN journal j ON j.key = l.key WHERE l.run = :run",
        run=run,
    )
    assert paid is not None
    ends = [(i["stop_reason"] or "", i["dedupe"]) for i in items if i["status"] != "done"]
    return Ending(
        run,
        fruitful=any(i["status"] == "done" for i in items),
        paid=bool(paid["asked"]),
        cost=paid["cost"],
        # What a person cancelled says nothing about the loop.
        ends=tuple(
            e for e in (*ends, *([(stopped, "")] if stopped else ())) if e[0] != "cancelled"
        ),
    )


def trip(
    sql: Sql, loop: str, run: str, *, why: str, state: str, seen: int, now: int
) -> BreakerRow | PageMoved:
    """Pause the loop, once: its schedules, a notice, the state page and the audit in one transaction."""
    there = open_breaker(sql, loop)
    if there is not None:
        return there
    if newer := moved(sql, loop, seen):
        return newer
    last = sql.one(
        "SELECT coalesce(max(nth), 0) AS nth FROM breakers WHERE loop = :loop", loop=loop
    )
    nth = (last["nth"] if last is not None else 0) + 1
    sql.run(
        "INSERT INTO breakers (loop, nth, run, why, at) VALUES (:loop, :nth, :run, :why, :now)",
        loop=loop, nth=nth, run=run, why=why, now=now,
    )  # fmt: skip
    note(sql, who="breaker", what="loop paused", subject=loop, detail=why, now=now)
    write_page(sql, loop, state, by="breaker", now=now)
    send(sql, "pause", f"{loop}-{nth}", {"loop": loop})
    send(sql, "notice", f"breaker-{loop}-{nth}", {"kind": "breaker", "loop": loop, "nth": nth})
    return BreakerRow(loop, nth, run, why, now)


def switch_off(sql: Sql, loop: str, nth: int, active: tuple[str, ...]) -> tuple[str, ...]:
    """The schedules that a pause switches off: these, or those noted the first time."""
    sql.run(
        "UPDATE breakers SET schedules = :active WHERE loop = :loop AND nth = :nth AND schedules IS NULL",
        active=canonical(active), loop=loop, nth=nth,
    )  # fmt: skip
    return switched_off(sql, loop, nth) or ()


def switched_off(sql: Sql, loop: str, nth: int) -> tuple[str, ...] | None:
    """The schedules that a pause has switched off; None when nobody noted which."""
    row = sql.one(
        "SELECT schedules FROM breakers WHERE loop = :loop AND nth = :nth", loop=loop, nth=nth
    )
    return tuple(json.loads(row["schedules"])) if row is not None and row["schedules"] else None


def resume(
    sql: Sql, loop: str, *, by: str, reason: str, state: str, seen: int, now: int
) -> BreakerRow | PageMoved | None:
    """Let a paused loop go on; None when it is not paused. What passed meanwhile is not missed."""
    there = open_breaker(sql, loop)
    if there is None:
        return None
    if newer := moved(sql, loop, seen):
        return newer
    sql.run(
        "UPDATE breakers SET resumed_at = :now, resumed_by = :by, reason = :reason"
        " WHERE loop = :loop AND nth = :nth",
        now=now, by=by, reason=reason, loop=loop, nth=there.nth,
    )  # fmt: skip
    sql.run(
        "UPDATE calendars SET upto = :now WHERE loop = :loop AND upto < :now", loop=loop, now=now
    )
    note(sql, who=by, what="loop resumed", subject=loop, detail=reason, now=now)
    write_page(sql, loop, state, by=by, now=now)
    send(sql, "unpause", f"{loop}-{there.nth}", {"loop": loop})
    row = sql.one(
        "SELECT * FROM breakers WHERE loop = :loop AND nth = :nth", loop=loop, nth=there.nth
    )
    if row is None:
        raise StoreError(f"the pause of loop {loop!r} could not be ended.")
    return rows.breaker(row)
