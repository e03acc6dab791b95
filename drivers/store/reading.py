"""What is in the store? Reads on one snapshot; nothing here changes a row."""

from collections.abc import Sequence

from drivers.store import rows
from drivers.store.sql import Row, Sql
from governance.effects import Evidence
from governance.parts import Json
from governance.records import Budget, ItemRow, LedgerRow, RunRow, StatePage

_LEDGER = (
    "SELECT l.*, j.kind, j.round, j.lane, j.step, j.ordinal FROM ledger l"
    " JOIN journal j ON j.key = l.key"
)


def run(sql: Sql, run: str) -> RunRow | None:
    """One run."""
    row = sql.one("SELECT * FROM runs WHERE run = :run", run=run)
    return None if row is None else rows.run_row(row)


def runs(sql: Sql, *, loop: str | None = None, limit: int = 50) -> tuple[RunRow, ...]:
    """Runs, newest first."""
    where = "" if loop is None else " WHERE loop = :loop"
    found = sql.all(
        f"SELECT * FROM runs{where} ORDER BY opened_at DESC, run LIMIT :limit",
        loop=loop,
        limit=limit,
    )
    return tuple(rows.run_row(row) for row in found)


def item(sql: Sql, item: str) -> ItemRow | None:
    """One item."""
    row = sql.one("SELECT * FROM items WHERE item = :item", item=item)
    return None if row is None else rows.item_row(row)


def items(
    sql: Sql, *, loop: str | None = None, run: str | None = None, open_only: bool = False,
    limit: int = 200,
) -> tuple[ItemRow, ...]:  # fmt: skip
    """Items, newest first."""
    asked = (
        ("loop = :loop", loop is not None),
        ("run = :run", run is not None),
        ("status NOT IN ('done', 'stopped')", open_only),
    )
    found = sql.all(
        f"SELECT * FROM items{_where(asked)} ORDER BY found_at DESC, run, nth LIMIT :limit",
        loop=loop, run=run, limit=limit,
    )  # fmt: skip
    return tuple(rows.item_row(row) for row in found)


def waiting(sql: Sql) -> tuple[ItemRow, ...]:
    """Items that wait for room in budgets, whoever waits longest first."""
    found = sql.all("SELECT * FROM items WHERE waits IS NOT NULL AND status = 'waiting'")
    items = [rows.item_row(row) for row in found]
    return tuple(sorted(items, key=lambda i: (i.waits.since if i.waits else 0, i.item)))


def ledger(
    sql: Sql, *, run: str | None = None, item: str | None = None, after_seq: int | None = None,
    limit: int = 100_000,
) -> tuple[LedgerRow, ...]:  # fmt: skip
    """Tries as they began; with `after_seq` only settled ones, as they were settled."""
    asked = (
        ("l.run = :run", run is not None),
        ("l.owner = :item", item is not None),
        ("l.seq > :after", after_seq is not None),
    )
    order = "l.started_at, l.key, l.attempt" if after_seq is None else "l.seq"
    found: Sequence[Row] = sql.all(
        f"{_LEDGER}{_where(asked)} ORDER BY {order} LIMIT :limit",
        run=run, item=item, after=after_seq, limit=limit,
    )  # fmt: skip
    return tuple(rows.ledger_row(row) for row in found)


def budget(sql: Sql, budget: str, window: str) -> Budget | None:
    """One budget in one window."""
    row = sql.one(
        "SELECT * FROM budgets WHERE budget = :budget AND period = :period",
        budget=budget,
        period=window,
    )
    return None if row is None else rows.budget(row)


def evidence(sql: Sql, item: str) -> tuple[Evidence, ...]:
    """All evidence of an item, oldest first."""
    found = sql.all("SELECT * FROM evidence WHERE item = :item ORDER BY seq", item=item)
    return tuple(rows.evidence(row) for row in found)


def state(sql: Sql, loop: str, *, version: int | None = None) -> StatePage | None:
    """The newest state page, or an older one by its version."""
    asked = (("loop = :loop", True), ("version = :version", version is not None))
    row = sql.one(
        f"SELECT * FROM states{_where(asked)} ORDER BY version DESC LIMIT 1",
        loop=loop,
        version=version,
    )
    return None if row is None else rows.page(row)


def audit(sql: Sql, *, limit: int = 100) -> tuple[Json, ...]:
    """Audit lines, newest first."""
    found = sql.all("SELECT * FROM audit ORDER BY seq DESC LIMIT :limit", limit=limit)
    columns = ("seq", "at", "who", "what", "subject", "detail")
    return tuple({name: row[name] for name in columns} for row in found)


def _where(asked: Sequence[tuple[str, bool]]) -> str:
    wanted = [condition for condition, is_asked in asked if is_asked]
    return " WHERE " + " AND ".join(wanted) if wanted else ""
