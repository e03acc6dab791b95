"""How do the budgets of one effect, and its charges, change together?

A budget's columns are the sums of its charges; both are written here, each by one statement for all of them.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from drivers.store.sql import Row, Sql, Value
from governance.charges import Charge

Status = Literal["held", "unknown", "spent", "freed"]


class Change(NamedTuple):
    """What becomes of one charge, and what that adds to its budget. `row` is the charge with its budget, as before."""

    row: Row
    status: Status
    amount: int
    held: int = 0
    spent: int = 0
    unknown: int = 0


class _Names(NamedTuple):
    """What the values of one row are called in a statement about many."""

    budget: str
    period: str
    amount: str
    status: str
    held: str
    spent: str
    unknown: str


@lru_cache(maxsize=64)
def _names(rows: int) -> tuple[_Names, ...]:
    return tuple(_Names(*(f"{name}{n}" for name in _Names._fields)) for n in range(rows))


def hold(sql: Sql, charges: Sequence[Charge]) -> bool:
    """Hold all of them if each has room in its own row; else none."""
    if not charges:
        return True
    held = sql.run(_hold(len(charges)), all=len(charges), **_held(charges))
    return held == len(charges)


def note(sql: Sql, key: str, attempt: int, charges: Sequence[Charge]) -> None:
    """Put what was just held on record, as charges of this try."""
    if charges:
        sql.run(_note(len(charges)), key=key, attempt=attempt, **_held(charges))


def charged(sql: Sql, key: str, attempt: int) -> Sequence[Row]:
    """The charges of a try in the order of their budgets, each with its budget as it stands."""
    return sql.all(
        "SELECT c.*, b.cap, b.held, b.spent, b.unknown FROM charges c JOIN budgets b"
        " ON b.budget = c.budget AND b.period = c.period"
        " WHERE c.key = :key AND c.attempt = :attempt ORDER BY c.budget, c.period",
        key=key, attempt=attempt,
    )  # fmt: skip


def change(sql: Sql, key: str, attempt: int, changes: Sequence[Change]) -> None:
    """Make these changes of charges of one try."""
    if not changes:
        return
    which: dict[str, Value] = {}
    moved: dict[str, Value] = {}
    noted: dict[str, Value] = {}
    for at, (row, status, amount, held, spent, unknown) in zip(
        _names(len(changes)), changes, strict=True
    ):
        which[at.budget], which[at.period] = row["budget"], row["period"]
        moved[at.held], moved[at.spent], moved[at.unknown] = held, spent, unknown
        noted[at.amount], noted[at.status] = amount, status
    sql.run(_move(len(changes)), **which, **moved)
    sql.run(_renote(len(changes)), key=key, attempt=attempt, **which, **noted)


def _held(charges: Sequence[Charge]) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for at, charge in zip(_names(len(charges)), charges, strict=True):
        values[at.budget], values[at.period] = charge.budget, charge.window
        values[at.amount] = charge.amount
    return values


# One statement for all rows: on Postgres each is a way to the server and back. CASE, as SQLite takes twice as long to
# join a table of values, and three times to give rows RETURNING.


@lru_cache(maxsize=64)
def _hold(rows: int) -> str:
    amount = _each(rows, "amount", "BIGINT")
    return (
        f"UPDATE budgets SET held = held + {amount} WHERE ({_which(rows)}) AND"
        f" (SELECT count(*) FROM budgets WHERE ({_which(rows)})"
        f" AND held + spent + unknown + {amount} <= cap AND stopped IS NULL) = :all"
    )


@lru_cache(maxsize=64)
def _move(rows: int) -> str:
    added = ", ".join(
        f"{name} = {name} + {_each(rows, name, 'BIGINT')}" for name in ("held", "spent", "unknown")
    )
    return f"UPDATE budgets SET {added} WHERE {_which(rows)}"


@lru_cache(maxsize=64)
def _note(rows: int) -> str:
    values = ", ".join(
        f"(:key, :attempt, :budget{n}, :period{n}, :amount{n}, 'held')" for n in range(rows)
    )
    return f"INSERT INTO charges (key, attempt, budget, period, amount, status) VALUES {values}"


@lru_cache(maxsize=64)
def _renote(rows: int) -> str:
    return (
        f"UPDATE charges SET amount = {_each(rows, 'amount', 'BIGINT')},"
        f" status = {_each(rows, 'status', 'TEXT')}"
        f" WHERE key = :key AND attempt = :attempt AND ({_which(rows)})"
    )


def _which(rows: int) -> str:
    return " OR ".join(f"(budget = :budget{n} AND period = :period{n})" for n in range(rows))


def _each(rows: int, name: str, kind: str) -> str:
    """The value of that name for each row."""
    cases = (
        f"WHEN budget = :budget{n} AND period = :period{n} THEN CAST(:{name}{n} AS {kind})"
        for n in range(rows)
    )
    return f"CASE {' '.join(cases)} END"
