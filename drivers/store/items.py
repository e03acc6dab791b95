"""Who works on an item now, where does it stand, and when has it ended (T3, T9)?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.store import rows
from drivers.store.outbox import send
from drivers.store.pages import moved, write_page
from drivers.store.recompose import recompose
from drivers.store.seals import CARDS
from drivers.store.sql import Row, Sql
from governance.effects import Refused, Stop
from governance.errors import StoreError, TakenOver
from governance.parts import Json, canonical
from governance.records import ItemRow, PageMoved, RunRow
from governance.waits import Awaited, Waits

FINAL = ("done", "stopped")


@dataclass(frozen=True)
class Taken:
    """A claimed item and its journal's rows, their bodies still to be fetched."""

    item: ItemRow
    journal: Sequence[Row]


def claim(
    sql: Sql, item: str, *, flow_run: str, now: int, lease: int, max_lives: int,
    process: Json | None = None,
) -> Taken | Refused:  # fmt: skip
    """T3: the next life of an item; every older one can start nothing any more."""
    row = find_item(sql, item)
    refused = _unclaimable(row, flow_run)
    if refused is not None:
        return refused
    if row["life"] >= max_lives:
        stop = Stop(
            "lives",
            f"item {item!r} was taken up by {row['life']:,} of {max_lives:,} processes and none "
            "finished it. Look at why they died, or raise harness.max_lives for later items.",
        )
        put_stop(sql, item, stop)
        return Refused(stop)
    sql.run(
        "UPDATE items SET status = 'working', flow_run = :flow_run, fence = fence + 1,"
        " life = life + 1, lease = :lease, awake_ms = awake_ms + :awake, life_at = :now,"
        " stop_reason = NULL, stop_detail = NULL, capped_by = NULL, capped_in = NULL, waits = NULL,"
        " waited_ms = coalesce(waited_ms, 0) + :waited WHERE item = :item",
        item=item, flow_run=flow_run, lease=lease, now=now, waited=_waited(row, now),
        # A life that died without a word was awake until its lease at most.
        awake=_awake(row, min(now, row["lease"]) if row["lease"] is not None else now),
    )  # fmt: skip
    if process is not None:
        sql.run(
            "INSERT INTO lives (item, fence, at, process) VALUES (:item, :fence, :now, :process)",
            item=item, fence=row["fence"] + 1, now=now, process=canonical(process),
        )  # fmt: skip
    if row["waits"] is not None:
        recompose(sql, row["loop"], by=f"item {item}", now=now)
    return Taken(rows.item_row(find_item(sql, item)), journal_of(sql, item))


def journal_of(sql: Sql, owner: str) -> Sequence[Row]:
    """The journal of an item or of a heartbeat, in order of place."""
    return sql.all(
        "SELECT * FROM journal WHERE owner = :owner ORDER BY round, lane, step, ordinal",
        owner=owner,
    )


def advance(sql: Sql, item: str, *, fence: int, round: int, base: str | None, now: int) -> None:
    """The round an item is in and the commit it started from; None leaves the base as it is."""
    _fenced(sql, item, fence)
    sql.run(
        "UPDATE items SET round = :round, base = coalesce(:base, base) WHERE item = :item",
        round=round, base=base, item=item,
    )  # fmt: skip


def stop_item(sql: Sql, owner: str, stop: Stop, *, now: int) -> None:
    """Nothing new is admitted for the item, or the heartbeat, until it is taken up again."""
    run = sql.one("SELECT run FROM runs WHERE run = :run", run=owner)
    if run is None:
        find_item(sql, owner)
    put_stop(sql, owner, stop, run=run is not None)


def put_stop(sql: Sql, owner: str, stop: Stop, *, run: bool = False) -> bool:
    """Put a stop on an open item (or run) that has none; the first reason stays, and it is False then."""
    where = (
        "UPDATE runs SET stop_reason = :reason, stop_detail = :detail WHERE run = :owner"
        " AND status = 'open' AND stop_reason IS NULL"
        if run
        else "UPDATE items SET stop_reason = :reason, stop_detail = :detail WHERE item = :owner"
        " AND status NOT IN ('done', 'stopped') AND stop_reason IS NULL"
    )
    return sql.run(where, reason=stop.reason, detail=stop.detail, owner=owner) == 1


def capped(sql: Sql, item: str, budget: str, window: str) -> None:
    """Note which cap stopped an item, so that raising it lets the item go on."""
    sql.run(
        "UPDATE items SET capped_by = :budget, capped_in = :window WHERE item = :item",
        budget=budget, window=window, item=item,
    )  # fmt: skip


def posted(
    sql: Sql, item: str, *, fence: int, now: int, noted: Json | None = None,
    waits: tuple[Awaited, ...] = (), wait_limit_ms: int | None = None,
) -> str:  # fmt: skip
    """A fresh pause key for one more wait: a form about the item's open cards, what comes by itself, or both.

    From now on the item is not awake.

    A life that ends by waiting ended well: lives are counted anew, since their cap is about processes that die.
    """
    row = _fenced(sql, item, fence)
    n = row["posted_n"] + 1
    key = f"card-{item}-{n}"
    sql.run(
        "UPDATE items SET status = 'waiting', posted_n = :n, posted_key = :key, life = 0,"
        " awake_ms = awake_ms + :awake, life_at = NULL, noted = :noted, waits = :waits WHERE item = :item",
        n=n, key=key, awake=_awake(row, now), item=item,
        noted=canonical(noted) if noted is not None else None,
        waits=rows.spelled_waits(_waits(row, waits, wait_limit_ms, now)) if waits else None,
    )  # fmt: skip
    for card in sql.all("SELECT * FROM cards WHERE item = :item AND answer IS NULL", item=item):
        CARDS.change(sql, card, posted_n=n)
    if waits:
        recompose(sql, row["loop"], by=f"item {item}", now=now)
    return key


def _waits(row: Row, of: tuple[Awaited, ...], limit: int | None, now: int) -> Waits:
    """What it waits for from now on, and until when at most: what it waited before counts."""
    left = None if limit is None else max(0, limit - (row["waited_ms"] or 0))
    return Waits(now, None if left is None else now + left, of)


def close(
    sql: Sql, item: str, *, fence: int, status: Literal["done", "stopped"], outcome: Json,
    stop: Stop | None, state: str, seen: int, now: int,
) -> RunRow | PageMoved:  # fmt: skip
    """T9: the item has ended, and with the last one its run; the first end stays."""
    row = _fenced(sql, item, fence)
    if row["status"] not in FINAL:
        if newer := moved(sql, row["loop"], seen):
            return newer
        sql.run(
            "UPDATE items SET status = :status, outcome = :outcome, stop_reason = :reason,"
            " stop_detail = :detail, closed_at = :now, waits = NULL, awake_ms = awake_ms + :awake, life_at = NULL"
            " WHERE item = :item",
            status=status, outcome=canonical(outcome), reason=stop.reason if stop else None,
            detail=stop.detail if stop else None, now=now, awake=_awake(row, now), item=item,
        )  # fmt: skip
        write_page(sql, row["loop"], state, by=f"item {item}", now=now)
        one_less(sql, row["run"], now)
    run = sql.one("SELECT * FROM runs WHERE run = :run", run=row["run"])
    if run is None:
        raise StoreError(f"run {row['run']!r} of item {item!r} is not in the store.")
    return rows.run_row(run)


def one_less(sql: Sql, run: str, now: int) -> None:
    """One item of the run has ended, and with the last one the run; people are told."""
    sql.run("UPDATE runs SET open_items = open_items - 1 WHERE run = :run", run=run)
    closed = sql.run(
        "UPDATE runs SET status = 'closed', closed_at = :now"
        " WHERE run = :run AND open_items = 0 AND status = 'open'",
        run=run, now=now,
    )  # fmt: skip
    if closed:
        # A run that was opened again is told of again.
        row = sql.one("SELECT reopened FROM runs WHERE run = :run", run=run)
        again = row["reopened"] if row is not None else None
        key = run if again is None else f"{run}-again-{again}"
        send(sql, "notice", key, {"kind": "run_closed", "run": run})


def check_fence(sql: Sql, item: str, fence: int) -> None:
    """Raises `TakenOver` when another process has taken the item over."""
    _fenced(sql, item, fence)


def _fenced(sql: Sql, item: str, fence: int) -> Row:
    row = find_item(sql, item)
    if row["fence"] != fence:
        raise TakenOver(
            f"item {item!r} was taken over: this process holds fence {fence:,}, the current one is "
            f"{row['fence']:,}. Nothing was written; this process must end."
        )
    return row


def find_item(sql: Sql, item: str) -> Row:
    """One item. Raises `StoreError` when there is none."""
    row = sql.one("SELECT * FROM items WHERE item = :item", item=item)
    if row is None:
        raise StoreError(f"item {item!r} is not in the store. Look it up with `loops inbox`.")
    return row


def _unclaimable(row: Row, flow_run: str) -> Refused | None:
    item, status = row["item"], row["status"]
    if status in FINAL:
        stop = rows.stop_of(row)
        return Refused(stop or Stop("cancelled", f"item {item!r} is already {status}"))
    if status == "kept_back":
        stop = rows.stop_of(row)
        assert stop is not None
        return Refused(stop)
    if row["flow_run"] not in (None, flow_run):
        detail = f"item {item!r} belongs to flow run {row['flow_run']!r}, not to {flow_run!r}"
        return Refused(Stop("cancelled", detail))
    return None


def _waited(row: Row, now: int) -> int:
    waits = rows.waits_of(row)
    return max(0, now - waits.since) if waits is not None else 0


def _awake(row: Row, until: int) -> int:
    return max(0, until - row["life_at"]) if row["life_at"] is not None else 0
