"""What has fired, what came in from outside, and how far are the slots of a loop dealt with?"""

from typing import Literal

from drivers.store import rows
from drivers.store.outbox import send
from drivers.store.pages import note
from drivers.store.runs import end_run
from drivers.store.sql import Sql
from governance.calendar import Beat, slot_name
from governance.effects import Stop
from governance.firing import delivery_slot
from governance.parts import digest
from governance.records import RunRow

Taken = Literal["taken", "again", "replayed", "other"]
"""A delivery is new; or came before: signed anew, byte for byte, or with other content."""


def run_of(sql: Sql, flow_run: str) -> RunRow | None:
    """The run that a heartbeat's flow run has opened."""
    row = sql.one("SELECT * FROM runs WHERE flow_run = :flow_run", flow_run=flow_run)
    return None if row is None else rows.run_row(row)


def calendar(sql: Sql, loop: str, calendar: str, *, since: int) -> int:
    """The last slot dealt with. A schedule that is new, or read otherwise than before, begins at `since`."""
    sql.run(
        "INSERT INTO calendars (loop, calendar, upto) VALUES (:loop, :calendar, :since)"
        " ON CONFLICT (loop) DO UPDATE SET calendar = :calendar, upto = :since"
        " WHERE calendars.calendar <> :calendar",
        loop=loop, calendar=calendar, since=since,
    )  # fmt: skip
    row = sql.one("SELECT upto FROM calendars WHERE loop = :loop", loop=loop)
    assert row is not None
    return row["upto"]


def deal_with(sql: Sql, loop: str, upto: int, *, let_go: bool, now: int) -> None:
    """Slots up to this one are dealt with; `let_go` when older ones were missed and are not made up for."""
    moved = sql.run(
        "UPDATE calendars SET upto = :upto WHERE loop = :loop AND upto < :upto",
        upto=upto,
        loop=loop,
    )
    if moved and let_go:
        detail = f"missed slots up to {slot_name(upto)} are not made up for any more"
        note(sql, who="calendar", what="slots let go", subject=loop, detail=detail, now=now)


def beats(sql: Sql, loop: str, *, since: int) -> tuple[Beat, ...]:
    """The heartbeats that may have run, or stood in the way of, a slot after `since`."""
    found = sql.all(
        "SELECT slot, opened_at, coalesce(found_at, closed_at) AS ended, lease FROM runs"
        " WHERE loop = :loop AND (opened_at > :since OR status = 'open' AND found_at IS NULL"
        " OR coalesce(found_at, closed_at) > :since OR slot > :name AND slot < ':')",
        loop=loop, since=since, name=slot_name(since),
    )  # fmt: skip
    return tuple(Beat(row["slot"], row["opened_at"], row["ended"], row["lease"]) for row in found)


def deliver(sql: Sql, loop: str, delivery: str, *, signed: str, payload: str, now: int) -> Taken:
    """A delivery that was let in, with its firing, in one transaction; the first of an id wins."""
    content = digest(payload)
    new = sql.run(
        "INSERT INTO deliveries (loop, delivery, signed, content, at)"
        " VALUES (:loop, :delivery, :signed, :content, :now) ON CONFLICT (loop, delivery) DO NOTHING",
        loop=loop, delivery=delivery, signed=signed, content=content, now=now,
    )  # fmt: skip
    if new:
        told = {"loop": loop, "delivery": delivery, "payload": payload}
        send(sql, "fire", f"{loop}-{delivery_slot(delivery)}", told)
        return "taken"
    first = sql.one(
        "SELECT * FROM deliveries WHERE loop = :loop AND delivery = :delivery",
        loop=loop, delivery=delivery,
    )  # fmt: skip
    assert first is not None
    if first["content"] != content:
        return "other"
    return "replayed" if first["signed"] == signed else "again"


def end_stuck(sql: Sql, now: int) -> tuple[RunRow, ...]:
    """Close the runs whose heartbeat is past its lease, and have its flow run ended."""
    stuck = sql.all(
        "SELECT * FROM runs WHERE status = 'open' AND found_at IS NULL AND lease < :now", now=now
    )
    for row in stuck:
        late = (now - row["lease"]) / 60_000
        detail = (
            f"the heartbeat did not end within harness.max_minutes ({late:,.0f} minutes over) and was given up, so "
            "that the loop's next slot can run. Look at its flow run for what it waited for."
        )
        end_run(sql, row["run"], stop=Stop("minutes", detail), now=now)
        send(sql, "end", row["run"], {"flow_run": row["flow_run"], "since": now})
    return tuple(rows.run_row(row) for row in stuck)
