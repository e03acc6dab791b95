"""Which caps were raised, until when, and how far is who from a cap now?

A raise in force is in the budget's cap, so that T4 looks at one row; when its time is over the cap is what it was.
Awake minutes have no row of their own: their cap is the definition's, or that of the raise in force.
"""

from drivers.store import rows
from drivers.store.pages import note
from drivers.store.sql import Row, Sql
from governance.raises import RaiseRow as Raise
from governance.raises import Raising, minutes_of, own_caps
from governance.records import Budget


def in_force(sql: Sql, budget: str, window: str, now: int) -> Row | None:
    """The raise of a budget that holds now."""
    return sql.one(
        "SELECT * FROM raises WHERE budget = :budget AND period = :period AND ended_at IS NULL"
        " AND (until IS NULL OR until > :now) ORDER BY nth DESC LIMIT 1",
        budget=budget, period=window, now=now,
    )  # fmt: skip


def put(sql: Sql, wanted: Raising, *, base: int, now: int) -> Raise:
    """Put a raise in force and on record; `base` is the cap without any raise."""
    last = sql.one("SELECT coalesce(max(nth), 0) AS nth FROM raises")
    nth = (last["nth"] if last is not None else 0) + 1
    sql.run(
        "INSERT INTO raises (nth, budget, period, base, cap, why, said_by, at, until)"
        " VALUES (:nth, :budget, :period, :base, :cap, :why, :by, :now, :until)",
        nth=nth, budget=wanted.budget, period=wanted.window, base=base, cap=wanted.to, why=wanted.why,
        by=wanted.by, now=now, until=wanted.until,
    )  # fmt: skip
    _move_cap(sql, wanted.budget, wanted.window, wanted.seen, wanted.to)
    # Whoever raises it has found out why it was stopped.
    sql.run(
        "UPDATE budgets SET stopped = NULL WHERE budget = :budget AND period = :period",
        budget=wanted.budget, period=wanted.window,
    )  # fmt: skip
    until = "" if wanted.until is None else f" until {wanted.until}"
    note(
        sql, who=wanted.by, what="cap raised", subject=f"{wanted.budget} ({wanted.window})",
        detail=f"{wanted.seen} to {wanted.to}{until}: {wanted.why}", now=now,
    )  # fmt: skip
    return Raise(
        nth, wanted.budget, wanted.window, base, wanted.to, wanted.why, wanted.by, now, wanted.until, None,
    )  # fmt: skip


def expire(sql: Sql, now: int) -> tuple[str, ...]:
    """Raises whose time is over hold no more; a line for each. A cap that was changed otherwise stays as it is."""
    # Without ORDER BY: to have them in order, SQLite would look at every raise there ever was.
    over = sql.all("SELECT * FROM raises WHERE until <= :now AND ended_at IS NULL", now=now)
    return tuple(_end(sql, row, now) for row in sorted(over, key=lambda row: row["nth"]))


def rebase(sql: Sql, first: str, last: str, cap: int) -> None:
    """The cap of every budget from `first` up to `last` is this without any raise; raises above it hold on."""
    sql.run(
        "UPDATE raises SET base = :cap WHERE budget >= :first AND budget < :last AND ended_at IS NULL",
        cap=cap, first=first, last=last,
    )  # fmt: skip
    raised = sql.all(
        "SELECT budget, period, max(cap) AS cap FROM raises WHERE budget >= :first AND budget < :last"
        " AND ended_at IS NULL GROUP BY budget, period",
        first=first, last=last,
    )  # fmt: skip
    for row in raised:
        _move_cap(sql, row["budget"], row["period"], cap, max(cap, row["cap"]))


def _end(sql: Sql, row: Row, now: int) -> str:
    budget, window = row["budget"], row["period"]
    before = _newest(sql, budget, window)
    sql.run("UPDATE raises SET ended_at = :now WHERE nth = :nth", now=now, nth=row["nth"])
    rest = _newest(sql, budget, window)
    cap = rest["cap"] if rest is not None else row["base"]
    _move_cap(sql, budget, window, before["cap"] if before is not None else row["cap"], cap)
    told = f"raise {row['nth']} to {row['cap']} is over, the cap is {cap}"
    note(
        sql, who="deadline", what="raise over", subject=f"{budget} ({window})", detail=told, now=now
    )
    return f"{budget!r}: {told}"


def _newest(sql: Sql, budget: str, window: str) -> Row | None:
    return sql.one(
        "SELECT * FROM raises WHERE budget = :budget AND period = :period AND ended_at IS NULL"
        " ORDER BY nth DESC LIMIT 1",
        budget=budget, period=window,
    )  # fmt: skip


def caps(sql: Sql, run: str, owner: str, *, awake_limit_ms: int, now: int) -> tuple[Budget, ...]:
    """The caps of an item (or a heartbeat) and of its run as they stand; an item's awake minutes among them."""
    names = own_caps(run, owner)
    found = sql.all(
        "SELECT * FROM budgets WHERE period = :run AND budget IN (:a, :b, :c, :d) ORDER BY budget",
        run=run, **dict(zip("abcd", names, strict=True)),
    )  # fmt: skip
    item = sql.one("SELECT * FROM items WHERE item = :item", item=owner)
    awake = () if item is None else (_minutes(sql, item, awake_limit_ms, now),)
    return (*(rows.budget(row) for row in found), *awake)


def windows(sql: Sql, budget: str) -> tuple[Budget, ...]:
    """One budget in each of its windows, the newest first."""
    found = sql.all(
        "SELECT * FROM budgets WHERE budget = :budget ORDER BY period DESC LIMIT 100", budget=budget
    )
    return tuple(rows.budget(row) for row in found)


def in_window(sql: Sql, window: str) -> tuple[Budget, ...]:
    """Every budget of one window, by name; of a run all that are its own and its items'."""
    found = sql.all(
        "SELECT * FROM budgets WHERE period = :period ORDER BY budget LIMIT 5000", period=window
    )
    return tuple(rows.budget(row) for row in found)


def raises_of(sql: Sql, budget: str, window: str) -> tuple[Raise, ...]:
    """The raises of one budget in one window, oldest first."""
    found = sql.all(
        "SELECT * FROM raises WHERE budget = :budget AND period = :period ORDER BY nth",
        budget=budget, period=window,
    )  # fmt: skip
    return tuple(_row(row) for row in found)


def _minutes(sql: Sql, item: Row, declared: int, now: int) -> Budget:
    budget, since = minutes_of(item["item"]), item["life_at"]
    raised = in_force(sql, budget, item["run"], now)
    awake = item["awake_ms"] + (max(0, now - since) if since is not None else 0)
    cap = max(declared, raised["cap"]) if raised is not None else declared
    return Budget(budget, item["run"], cap, spent=awake)


def _move_cap(sql: Sql, budget: str, window: str, before: int, after: int) -> None:
    """The cap from one amount to another; one that is another meanwhile stays, and minutes have no row."""
    sql.run(
        "UPDATE budgets SET cap = :after WHERE budget = :budget AND period = :period AND cap = :before",
        after=after, before=before, budget=budget, period=window,
    )  # fmt: skip


def _row(row: Row) -> Raise:
    return Raise(
        row["nth"], row["budget"], row["period"], row["base"], row["cap"], row["why"], row["said_by"],
        row["at"], row["until"], row["ended_at"],
    )  # fmt: skip
