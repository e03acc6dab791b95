"""What becomes of open work whose flow runs are gone because Prefect's database was lost?

Source: docs/decisions/0027-who-kept-house-last.md
"""

from collections.abc import Sequence

from drivers.store.anew import hand_out
from drivers.store.outbox import send
from drivers.store.pages import note
from drivers.store.recovery import lose_open
from drivers.store.runs import end_run
from drivers.store.sql import Sql
from governance.effects import Stop
from governance.recovery import Handed

REMEMBERED = 2
"""Housekeepings that are kept on record, the newest."""


def kept_house(sql: Sql, flow_run: str, *, now: int) -> None:
    """This flow run of Prefect's has looked after everything."""
    sql.run(
        "INSERT INTO housekeepings (flow_run, at) VALUES (:flow_run, :now)"
        " ON CONFLICT (flow_run) DO NOTHING",
        flow_run=flow_run, now=now,
    )  # fmt: skip
    sql.run(
        "DELETE FROM housekeepings WHERE flow_run NOT IN"
        " (SELECT flow_run FROM housekeepings ORDER BY at DESC, flow_run LIMIT :most)",
        most=REMEMBERED,
    )  # fmt: skip


def housekeepings(sql: Sql) -> tuple[str, ...]:
    """The flow runs that kept house last, newest first."""
    rows = sql.all("SELECT flow_run FROM housekeepings ORDER BY at DESC, flow_run")
    return tuple(row["flow_run"] for row in rows)


def hand_out_anew(sql: Sql, gone: Sequence[Handed], *, now: int) -> tuple[str, ...]:
    """Items get new flow runs and heartbeats end, in one transaction, with one notice; a line for each.

    What has another flow run by now is left alone.
    """
    counted = sql.one("SELECT count(*) AS n FROM audit WHERE what = 'prefect lost'")
    nth = (counted["n"] if counted is not None else 0) + 1
    items = sum(_item(sql, h, nth, now) for h in gone if h.status != "heartbeat")
    heartbeats = sum(_heartbeat(sql, h, now) for h in gone if h.status == "heartbeat")
    if not items and not heartbeats:
        return ()
    told = f"{items:,} items are dispatched anew, {heartbeats:,} heartbeats have ended"
    note(sql, who="housekeeping", what="prefect lost", subject="prefect", detail=told, now=now)
    send(sql, "notice", f"lost-{nth}", {"kind": "lost", "told": told})
    return (f"Prefect's database was lost: {told}",)


def _item(sql: Sql, handed: Handed, nth: int, now: int) -> bool:
    row = sql.one(
        "SELECT * FROM items WHERE item = :item AND flow_run = :flow_run"
        " AND status NOT IN ('done', 'stopped')",
        item=handed.owner, flow_run=handed.flow_run,
    )  # fmt: skip
    if row is not None:
        hand_out(sql, row, f"{row['loop']}-{row['item']}-lost-{nth}", ahead=1, now=now)
    return row is not None


def _heartbeat(sql: Sql, handed: Handed, now: int) -> bool:
    row = sql.one(
        "SELECT run FROM runs WHERE run = :run AND flow_run = :flow_run AND status = 'open'",
        run=handed.owner, flow_run=handed.flow_run,
    )  # fmt: skip
    if row is not None:
        detail = f"flow run {handed.flow_run!r} is gone with Prefect's database; the next slot looks anew"
        lose_open(sql, handed.owner, "cancelled", now)
        end_run(sql, handed.owner, stop=Stop("cancelled", detail), now=now)
    return row is not None
