"""Which open work may have lost its process, and how does it end when nobody can go on with it?"""

from collections.abc import Sequence

from drivers.store import rows
from drivers.store.items import FINAL, close, find_item
from drivers.store.outbox import send
from drivers.store.pages import moved
from drivers.store.runs import end_run
from drivers.store.sql import Row, Sql
from drivers.store.tries import End, lose_try
from governance.effects import Stop
from governance.errors import StoreError
from governance.parts import Json
from governance.records import PageMoved, RunRow
from governance.recovery import Handed, Restart, restart_prefix


def handed_out(sql: Sql) -> tuple[Handed, ...]:
    """Open items that have a flow run, and open heartbeats that have handed out nothing yet; oldest first."""
    found = sql.all(
        "SELECT item AS owner, loop, definition, flow_run, status, life, posted_n, stop_reason, stop_detail,"
        " waits IS NULL OR EXISTS (SELECT 1 FROM cards c WHERE c.item = items.item AND c.answer IS NULL)"
        " AS needs_form FROM items WHERE status NOT IN ('done', 'stopped') AND flow_run IS NOT NULL"
        " ORDER BY found_at, item"
    )
    heartbeats = sql.all(
        "SELECT run AS owner, loop, definition, flow_run, 'heartbeat' AS status, 0 AS life, 0 AS posted_n,"
        " stop_reason, stop_detail, false AS needs_form FROM runs WHERE status = 'open' AND found_at IS NULL"
        " ORDER BY opened_at, run"
    )
    return tuple(_handed(sql, row) for row in (*found, *heartbeats))


def _handed(sql: Sql, row: Row) -> Handed:
    prefix = restart_prefix(row["owner"], row["posted_n"])
    counted = sql.one(
        "SELECT count(*) AS n FROM outbox WHERE kind = 'restart'"
        " AND key >= :first AND key < :beyond",
        first=prefix, beyond=prefix[:-1] + chr(ord("-") + 1),
    )  # fmt: skip
    acted = sql.one(
        "SELECT max(CASE WHEN ended_at > started_at THEN ended_at ELSE started_at END) AS at FROM ledger"
        " WHERE owner = :owner",
        owner=row["owner"],
    )
    return Handed(
        owner=row["owner"], loop=row["loop"], definition=row["definition"], flow_run=row["flow_run"],
        status=row["status"], life=row["life"], epoch=row["posted_n"],
        restarts=counted["n"] if counted is not None else 0, stop=rows.stop_of(row),
        acted_at=acted["at"] if acted is not None else None, needs_form=bool(row["needs_form"]),
    )  # fmt: skip


def restart(sql: Sql, owner: str, flow_run: str, state: str, again: Restart) -> bool:
    """Note that this ending of the flow run is to be followed by a new start; False when it was noted before."""
    payload = {"owner": owner, "flow_run": flow_run, "state": state, "why": again.why}
    return send(sql, "restart", again.key, payload)


def give_up(
    sql: Sql, item: str, *, stop: Stop, outcome: Json, state: str, seen: int, now: int
) -> RunRow | PageMoved:
    """End an item that no process will end: take the fence, count open tries as unknown, close it (T9).

    Whatever process still lives can start nothing more; what it has under way still settles. People are told
    apart when it ended because too many processes died. An item that has ended stays as it is.
    """
    row = find_item(sql, item)
    if row["status"] in FINAL:
        run = sql.one("SELECT * FROM runs WHERE run = :run", run=row["run"])
        if run is None:
            raise StoreError(f"run {row['run']!r} of item {item!r} is not in the store.")
        return rows.run_row(run)
    if newer := moved(sql, row["loop"], seen):
        return newer
    lose_open(sql, item, stop.reason, now)
    sql.run("UPDATE items SET fence = fence + 1 WHERE item = :item", item=item)
    if stop.reason == "lives":
        send(sql, "notice", f"lives-{item}", {"kind": "lives", "item": item, "run": row["run"]})
    return close(
        sql, item, fence=row["fence"] + 1, status="stopped", outcome=outcome, stop=stop, state=state,
        seen=seen, now=now,
    )  # fmt: skip


def give_up_run(sql: Sql, run: str, *, stop: Stop, now: int) -> RunRow:
    """End a heartbeat that no process will end; its open tries are unknown, and people are told."""
    lose_open(sql, run, stop.reason, now)
    return end_run(sql, run, stop=stop, now=now)


def lose_open(sql: Sql, owner: str, error: str, now: int) -> None:
    """Nobody waits for the owner's open tries any more: they are unknown, and counted, until they report."""
    tries: Sequence[Row] = sql.all(
        "SELECT * FROM ledger WHERE owner = :owner AND status = 'open' ORDER BY started_at, key",
        owner=owner,
    )
    for row in tries:
        lose_try(sql, row, End("unknown", now, error=error))
