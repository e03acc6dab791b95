"""What is held, spent or unknown in each budget, and does one more effect fit?

held + spent + unknown never passes the cap: a hold is one conditional UPDATE, budgets in the order of their ids.
A charge is `held` while its try is open, `unknown` when nobody can say, then `spent` or `freed`; the columns of a
budget are the sums of its charges.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from drivers.store.sql import Row, Sql
from governance.effects import Charge, Stop, StopReason
from governance.errors import StoreError
from governance.parts import usd
from governance.records import Budget

_REASONS: dict[str, StopReason] = {"steps": "steps", "tokens": "tokens", "usd": "cost"}


@dataclass(frozen=True)
class Short:
    """A budget that has no room. `held`: room comes back when calls under way cost less than they hold."""

    stop: Stop
    held: bool
    cap: tuple[str, str]
    """The budget and its window."""


def add_budgets(sql: Sql, budgets: Iterable[Budget]) -> None:
    """Put caps in place; one that is there already stays as it is. Raises `StoreError` for an unknown unit."""
    for budget in budgets:
        _reason(budget.budget)
        sql.run(
            "INSERT INTO budgets (budget, period, cap, held, spent, unknown)"
            " VALUES (:budget, :period, :cap, 0, 0, 0) ON CONFLICT (budget, period) DO NOTHING",
            budget=budget.budget, period=budget.window, cap=budget.cap,
        )  # fmt: skip


def hold(sql: Sql, key: str, attempt: int, charges: Iterable[Charge]) -> Short | None:
    """Hold every charge, or none and say which budget is short. A budget without a cap is not charged."""
    taken: list[Charge] = []
    for charge in _in_order(charges).values():
        if _move(sql, charge.budget, charge.window, held=charge.amount, capped=True):
            taken.append(charge)
            continue
        row = sql.one(
            "SELECT * FROM budgets WHERE budget = :budget AND period = :period",
            budget=charge.budget, period=charge.window,
        )  # fmt: skip
        if row is not None:
            for back in taken:
                _move(sql, back.budget, back.window, held=-back.amount)
            return _short(row, charge)
    for charge in taken:
        _note(sql, key, attempt, charge, "held")
    return None


def release(sql: Sql, key: str, attempt: int) -> None:
    """The try surely cost nothing: what it held, or left unknown, is free again."""
    for row in _charges(sql, key, attempt):
        if row["status"] in ("held", "unknown"):
            _move(sql, row["budget"], row["period"], **{row["status"]: -row["amount"]})
            _renote(sql, row, "freed", row["amount"])


def doubt(sql: Sql, key: str, attempt: int) -> None:
    """Nobody can say what the try cost: what it held counts as unknown until someone can."""
    for row in _charges(sql, key, attempt):
        if row["status"] == "held":
            amount = row["amount"]
            _move(sql, row["budget"], row["period"], held=-amount, unknown=amount)
            _renote(sql, row, "unknown", amount)


def settle(sql: Sql, key: str, attempt: int, charges: Iterable[Charge]) -> None:
    """The try cost exactly this; a budget that held and is not named pays nothing.

    What was spent is booked even above the hold or the cap: it has happened.
    """
    owed = _in_order(charges)
    rows = {(row["budget"], row["period"]): row for row in _charges(sql, key, attempt)}
    for budget, period in sorted(rows.keys() | owed.keys()):
        row = rows.get((budget, period))
        charge = owed.get((budget, period), Charge(budget, period, 0))
        if row is not None:
            pending = row["status"] in ("held", "unknown")
            back = {row["status"]: -row["amount"]} if pending else {}
            _move(sql, budget, period, spent=charge.amount, **back)
            _renote(sql, row, "spent", charge.amount)
        elif _move(sql, budget, period, spent=charge.amount):
            _note(sql, key, attempt, charge, "spent")


def _move(
    sql: Sql, budget: str, period: str, *, held: int = 0, spent: int = 0, unknown: int = 0,
    capped: bool = False,
) -> bool:  # fmt: skip
    room = " AND held + spent + unknown + :held <= cap" if capped else ""
    moved = sql.run(
        "UPDATE budgets SET held = held + :held, spent = spent + :spent, unknown = unknown + :unknown"
        " WHERE budget = :budget AND period = :period" + room,
        budget=budget, period=period, held=held, spent=spent, unknown=unknown,
    )  # fmt: skip
    return moved == 1


def _charges(sql: Sql, key: str, attempt: int) -> Iterable[Row]:
    return sql.all(
        "SELECT * FROM charges WHERE key = :key AND attempt = :attempt ORDER BY budget, period",
        key=key, attempt=attempt,
    )  # fmt: skip


def _note(sql: Sql, key: str, attempt: int, charge: Charge, status: str) -> None:
    sql.run(
        "INSERT INTO charges (key, attempt, budget, period, amount, status)"
        " VALUES (:key, :attempt, :budget, :period, :amount, :status)",
        key=key, attempt=attempt, budget=charge.budget, period=charge.window,
        amount=charge.amount, status=status,
    )  # fmt: skip


def _renote(sql: Sql, row: Row, status: str, amount: int) -> None:
    sql.run(
        "UPDATE charges SET status = :status, amount = :amount WHERE key = :key"
        " AND attempt = :attempt AND budget = :budget AND period = :period",
        key=row["key"], attempt=row["attempt"], budget=row["budget"], period=row["period"],
        status=status, amount=amount,
    )  # fmt: skip


def _short(row: Row, charge: Charge) -> Short:
    unit = charge.budget.rpartition(":")[2]

    def say(value: int) -> str:
        return f"{usd(value).normalize():,f}" if unit == "usd" else f"{value:,}"

    firm = row["spent"] + row["unknown"] + charge.amount
    held = firm <= row["cap"]
    raised = f"Raise it with `loops budget raise {charge.budget}`."
    way_out = "Calls under way hold the rest." if held else raised
    detail = (
        f"budget {charge.budget!r} would reach {say(firm + row['held'])} of {say(row['cap'])} {unit} "
        f"({say(row['spent'])} spent, {say(row['held'])} held, {say(row['unknown'])} unknown, "
        f"{say(charge.amount)} asked for). {way_out}"
    )
    return Short(Stop(_reason(charge.budget), detail), held, (charge.budget, charge.window))


def _reason(budget: str) -> StopReason:
    unit = budget.rpartition(":")[2]
    if unit not in _REASONS:
        raise StoreError(
            f"budget {budget!r} counts in {unit!r}. A budget's name ends in one of "
            f"{', '.join(':' + known for known in _REASONS)}."
        )
    return _REASONS[unit]


def _in_order(charges: Iterable[Charge]) -> dict[tuple[str, str], Charge]:
    """By budget and window, in the one order in which budgets are locked."""
    found: dict[tuple[str, str], Charge] = {}
    for charge in sorted(charges, key=lambda c: (c.budget, c.window)):
        if charge.amount < 0 or (charge.budget, charge.window) in found:
            raise StoreError(
                f"budget {charge.budget!r} ({charge.window}) is charged {charge.amount:,} in one effect, "
                "below 0 or for the second time. Name each budget once, with 0 or more."
            )
        found[charge.budget, charge.window] = charge
    return found
