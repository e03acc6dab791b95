"""Which heartbeat is this, and what did it find (T1, T2)?"""

from collections.abc import Sequence
from dataclasses import replace

from drivers.store import rows
from drivers.store.breakers import open_breaker
from drivers.store.fanouts import fan_out
from drivers.store.money import add_budgets
from drivers.store.outbox import send
from drivers.store.pages import write_page
from drivers.store.spending import begin
from drivers.store.sql import Sql
from governance.breaker import breaker_stop
from governance.effects import Principal, Refused, Stop
from governance.errors import StoreError
from governance.fanout import Ceiling
from governance.parts import canonical, short_id
from governance.records import Budget, Finding, ItemRow, RunRow


def open_run(
    sql: Sql, run: str, *, loop: str, slot: str, flow_run: str, definition: str,
    budgets: tuple[Budget, ...], now: int, lease: int | None = None, payload: str | None = None,
    owner: str = "unowned", team: str = "unassigned",
) -> RunRow | Refused:  # fmt: skip
    """T1: the run of (loop, slot), made by whoever came first; on its own replay its stop is cleared.

    A paused loop opens none, nor does one whose runs are all used up.
    """
    by = Principal(loop, owner, team, "loop", "loop")
    broken = open_breaker(sql, loop)
    new = sql.run(
        "INSERT INTO runs (run, loop, slot, flow_run, definition, status, open_items, opened_at, lease,"
        " payload)"
        " SELECT :run, :loop, :slot, :flow_run, :definition, 'open', 0, :now, :lease, :payload"
        " WHERE :broken = 0 ON CONFLICT (loop, slot) DO NOTHING",
        run=run, loop=loop, slot=slot, flow_run=flow_run, definition=definition, now=now, lease=lease,
        payload=payload, broken=int(broken is not None),
    )  # fmt: skip
    short = begin(sql, run, by, now) if new else None
    if short is not None:
        sql.run("DELETE FROM runs WHERE run = :run", run=run)
        return Refused(short.stop)
    if new:
        add_budgets(sql, budgets)
    else:
        sql.run(
            "UPDATE runs SET stop_reason = NULL, stop_detail = NULL, lease = :lease"
            " WHERE loop = :loop AND slot = :slot AND flow_run = :flow_run AND status = 'open'",
            loop=loop, slot=slot, flow_run=flow_run, lease=lease,
        )  # fmt: skip
    row = sql.one("SELECT * FROM runs WHERE loop = :loop AND slot = :slot", loop=loop, slot=slot)
    if row is None and broken is not None:
        return Refused(breaker_stop(broken))
    if row is None:
        raise StoreError(f"run {run!r} of loop {loop!r} could not be written.")
    return rows.run_row(row)


def found(
    sql: Sql, run: str, findings: Sequence[tuple[str, Finding]], *, definition: str,
    budgets: tuple[Budget, ...], state: str | None, summary: str, now: int,
    owner: str = "unowned", team: str = "unassigned", ceilings: tuple[Ceiling, ...] = (),
) -> tuple[ItemRow, ...]:  # fmt: skip
    """T2: the new items, priced, with their dispatch unless a rule keeps them back; or those of the first time.

    Raises `StoreError` for a foreign id.
    """
    row = sql.one("SELECT * FROM runs WHERE run = :run", run=run)
    if row is None:
        raise StoreError(
            f"run {run!r} is not in the store. Open it before reporting what it found."
        )
    # A heartbeat that was given up as stuck, and lives again, hands out nothing.
    if row["found_at"] is None and row["status"] == "open":
        loop: str = row["loop"]
        new = [
            (item, finding)
            for nth, (item, finding) in enumerate(findings)
            if _add(sql, nth, item, finding, loop=loop, run=run, definition=definition, now=now)
        ]
        for item, _ in new:
            add_budgets(sql, (_of_item(budget, item) for budget in budgets))
        if state is not None:
            write_page(sql, loop, state, by=f"run {run}", now=now)
        sql.run(
            "UPDATE runs SET found_at = :now, summary = :summary, open_items = :n,"
            " status = :status, closed_at = :closed WHERE run = :run",
            run=run, now=now, summary=summary, n=len(new), status="open" if new else "closed",
            closed=None if new else now,
        )  # fmt: skip
        if not new:
            send(sql, "notice", run, {"kind": "run_closed", "run": run})
        elif fan_out(sql, row, len(new), ceilings, owner=owner, team=team, now=now):
            for item, finding in new:
                payload = {"loop": loop, "item": item, "run": run, "title": finding.title}
                send(sql, "dispatch", f"{loop}-{item}-0", payload)
    items = sql.all("SELECT * FROM items WHERE run = :run ORDER BY nth", run=run)
    return tuple(rows.item_row(item) for item in items)


def _add(
    sql: Sql, nth: int, item: str, finding: Finding, *, loop: str, run: str, definition: str,
    now: int,
) -> bool:  # fmt: skip
    named = short_id("i", loop, finding.dedupe, run)
    if item != named:
        raise StoreError(
            f"finding {finding.dedupe!r} came as item {item!r}; an item is named by loop, dedupe key "
            f"and run, which makes {named!r}."
        )
    new = sql.run(
        "INSERT INTO items (item, nth, loop, dedupe, run, finding, status, definition, round, life, fence,"
        " awake_ms, found_at, posted_n)"
        " VALUES (:item, :nth, :loop, :dedupe, :run, :finding, 'found', :definition, 0, 0, 0, 0, :now, 0)"
        " ON CONFLICT DO NOTHING",
        item=item, nth=nth, loop=loop, dedupe=finding.dedupe, run=run, finding=canonical(vars(finding)),
        definition=definition, now=now,
    )  # fmt: skip
    return new == 1


def _of_item(budget: Budget, item: str) -> Budget:
    return replace(
        budget,
        budget=budget.budget.replace("{item}", item),
        window=budget.window.replace("{item}", item),
    )


def end_run(sql: Sql, run: str, *, stop: Stop, now: int) -> RunRow:
    """A heartbeat that was stopped before it found anything: its run closes with the reason, and people are told."""
    closed = sql.run(
        "UPDATE runs SET status = 'closed', closed_at = :now, stop_reason = :reason,"
        " stop_detail = :detail WHERE run = :run AND status = 'open' AND open_items = 0",
        run=run, now=now, reason=stop.reason, detail=stop.detail,
    )  # fmt: skip
    if closed:
        send(sql, "notice", run, {"kind": "run_closed", "run": run})
    row = sql.one("SELECT * FROM runs WHERE run = :run", run=run)
    if row is None:
        raise StoreError(f"run {run!r} is not in the store. Look it up with `loops inbox`.")
    return rows.run_row(row)
