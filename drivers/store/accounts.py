"""How do the budgets of one effect, and its charges, change together?

A budget's columns are the sums of its charges; both are written here, each by one statement for all of them.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from drivers.store.given import Given
from drivers.store.sql import Row, Sql
from governance.charges import Charge

Status = Literal["held", "unknown", "spent", "freed"]

_HOLDS = Given(budget="TEXT", period="TEXT", amount="BIGINT")
_CHARGES = Given(budget="TEXT", period="TEXT", amount="BIGINT", status="TEXT")
_MOVES = Given(budget="TEXT", period="TEXT", held="BIGINT", spent="BIGINT", unknown="BIGINT")
_ROOM = "b.held + b.spent + b.unknown + given.amount <= b.cap AND b.stopped IS NULL"


class Change(NamedTuple):
    """What becomes of one charge, and what that adds to its budget. `row` is the charge with its budget, as before."""

    row: Row
    status: Status
    amount: int
    held: int = 0
    spent: int = 0
    unknown: int = 0


def hold(sql: Sql, charges: Sequence[Charge]) -> bool:
    """Hold all of them if each has room in its own row; else none."""
    if not charges:
        return True
    held = _HOLDS.run(
        sql,
        "UPDATE budgets SET held = budgets.held + given.amount FROM given"
        " WHERE budgets.budget = given.budget AND budgets.period = given.period"
        " AND (SELECT count(*) FROM given JOIN budgets b ON b.budget = given.budget"
        f" AND b.period = given.period WHERE {_ROOM}) = :all",
        [(c.budget, c.window, c.amount) for c in charges], all=len(charges),
    )  # fmt: skip
    return held == len(charges)


def note(sql: Sql, key: str, attempt: int, charges: Sequence[Charge]) -> None:
    """Put what was just held on record, as charges of this try."""
    _HOLDS.run(
        sql,
        "INSERT INTO charges (key, attempt, budget, period, amount, status)"
        " SELECT CAST(:key AS TEXT), CAST(:attempt AS BIGINT), budget, period, amount, 'held' FROM given",
        [(c.budget, c.window, c.amount) for c in charges], key=key, attempt=attempt,
    )  # fmt: skip


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
    _MOVES.run(
        sql,
        "UPDATE budgets SET held = budgets.held + given.held, spent = budgets.spent + given.spent,"
        " unknown = budgets.unknown + given.unknown FROM given"
        " WHERE budgets.budget = given.budget AND budgets.period = given.period",
        [(c.row["budget"], c.row["period"], c.held, c.spent, c.unknown) for c in changes],
    )  # fmt: skip
    _CHARGES.run(
        sql,
        "UPDATE charges SET amount = given.amount, status = given.status FROM given"
        " WHERE charges.key = :key AND charges.attempt = :attempt"
        " AND charges.budget = given.budget AND charges.period = given.period",
        [(c.row["budget"], c.row["period"], c.amount, c.status) for c in changes],
        key=key, attempt=attempt,
    )  # fmt: skip
