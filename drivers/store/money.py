"""What is held, spent or unknown in each budget, and does one more effect fit?

held + spent + unknown never passes the cap: a hold is one conditional UPDATE, budgets in the order of their ids.
A charge is `held` while its try is open, `unknown` when nobody can say, then `spent` or `freed`; the columns of a
budget are the sums of its charges.
"""

from collections.abc import Iterable

from drivers.store import thresholds
from drivers.store.outbox import send
from drivers.store.short import Short, reason_of, short_of
from drivers.store.sql import Row, Sql
from governance.charges import Amounts, Charge, unit_of
from governance.draws import BEHIND_SLICES
from governance.errors import StoreError
from governance.records import Budget

_BOUNDED = ("usd", "tokens")
"""Units whose hold is a bound that nothing real may pass."""


def add_budgets(sql: Sql, budgets: Iterable[Budget]) -> None:
    """Put caps in place; one that is there already stays as it is. Raises `StoreError` for an unknown unit."""
    for budget in budgets:
        reason_of(budget.budget)
        _add(sql, budget.budget, budget.window, budget.cap)


def hold(
    sql: Sql, key: str, attempt: int, charges: Iterable[Charge], *, name: str
) -> tuple[Short, ...]:
    """Hold every charge of the effect `name`, or none and say which budgets are short.

    A budget without a cap is not charged.
    """
    taken: list[Charge] = []
    shorts: list[Short] = []
    for charge in _in_order(charges):
        short = _take(sql, charge, name)
        if short is None:
            taken.append(charge)
        elif short.row is not None:
            shorts.append(short)
    for charge in taken:
        if shorts:
            _move(sql, charge.budget, charge.window, held=-(charge.amount or 0))
        else:
            _note(sql, key, attempt, charge, "held")
    return tuple(shorts)


def spend(sql: Sql, key: str, charges: Iterable[Charge], *, now: int) -> Short | None:
    """Hold and settle in one, for what is over as it begins (a run); none of it when one budget is short."""
    for short in hold(sql, key, 0, charges, name="run"):
        if not short.held and short.charge.since is None:
            thresholds.refused(sql, short, key=key, now=now)
        return short
    for row in _charges(sql, key, 0):
        amount = row["amount"]
        _move(sql, row["budget"], row["period"], held=-amount, spent=amount, now=now)
        _renote(sql, row, "spent", amount)
    return None


def release(sql: Sql, key: str, attempt: int) -> None:
    """The try surely cost nothing: what it held, or left unknown, is free again."""
    for row in _charges(sql, key, attempt):
        if row["status"] in ("held", "unknown"):
            _move(sql, row["budget"], row["period"], **{row["status"]: -row["amount"]})
            _renote(sql, row, "freed", row["amount"])


def doubt(sql: Sql, key: str, attempt: int, *, now: int) -> None:
    """Nobody can say what the try cost: what it held counts as unknown until someone can.

    It is not under way any more, whatever it cost: of calls at one moment it is none.
    """
    for row in _charges(sql, key, attempt):
        if row["status"] == "held":
            gone = row["budget"].endswith(":concurrent")
            _leave(sql, row, "freed" if gone else "unknown", now=now)


def settle(sql: Sql, key: str, attempt: int, paid: Amounts, *, now: int) -> None:
    """The try took exactly this of every budget that it held.

    What was spent is booked even above the hold or the cap: it has happened. A call that took more than the most it
    could take stops the budget it took it from, and people are told: our bound is wrong, or the bill is. What has no
    price stays unknown, at what was held.
    """
    for row in _charges(sql, key, attempt):
        amount = paid.of(unit_of(row["budget"]))
        pending = row["status"] in ("held", "unknown")
        if amount is None:
            if row["status"] == "held":
                _leave(sql, row, "unknown", now=now)
            continue
        back = {row["status"]: -row["amount"]} if pending else {}
        _move(sql, row["budget"], row["period"], spent=amount, now=now, **back)
        _renote(sql, row, "spent", amount)
        if pending and amount > row["amount"] and row["budget"].endswith(_BOUNDED):
            _overshot(sql, row, amount)


def _take(sql: Sql, charge: Charge, name: str) -> Short | None:
    """None when it is held; else which budget is short, with no row where nobody caps it."""
    if charge.amount is not None and _held(sql, charge, charge.amount):
        return None
    row = _budget(sql, charge)
    if row is None and charge.cap is not None:
        _add(sql, charge.budget, charge.window, charge.cap)
        if charge.amount is not None and _held(sql, charge, charge.amount):
            return None
        row = _budget(sql, charge)
    return short_of(row, charge, name)


def _held(sql: Sql, charge: Charge, amount: int) -> bool:
    if charge.since is None:
        return _move(sql, charge.budget, charge.window, held=amount, capped=True)
    row = _budget(sql, charge)
    if row is None or row["stopped"] is not None:
        return False
    taken = row["held"] + row["spent"] + row["unknown"]
    fits = taken + amount <= row["cap"]
    return fits and _move(sql, charge.budget, charge.window, held=amount)


def _budget(sql: Sql, charge: Charge) -> Row | None:
    """The budget as it stands; of one that rolls all that still counts, once its newest window is there."""
    if charge.since is None:
        return sql.one(
            "SELECT * FROM budgets WHERE budget = :budget AND period = :period",
            budget=charge.budget, period=charge.window,
        )  # fmt: skip
    return sql.one(
        "SELECT budget, max(period) AS period, (SELECT cap FROM budgets WHERE budget = :budget AND"
        " period = :period) AS cap, sum(held) AS held, sum(spent) AS spent, sum(unknown) AS unknown,"
        " max(stopped) AS stopped FROM budgets WHERE budget = :budget AND period >= :since"
        " AND period < :behind GROUP BY budget HAVING max(period) >= :period",
        budget=charge.budget, period=charge.window, since=charge.since, behind=BEHIND_SLICES,
    )  # fmt: skip


def _overshot(sql: Sql, row: Row, paid: int) -> None:
    detail = f"try {row['attempt']:,} of {row['key']!r} took {paid:,} and could take {row['amount']:,} at most"
    sql.run(
        "UPDATE budgets SET stopped = :detail WHERE budget = :budget AND period = :period"
        " AND stopped IS NULL",
        detail=detail, budget=row["budget"], period=row["period"],
    )  # fmt: skip
    send(
        sql, "notice", f"overshoot-{row['budget']}-{row['period']}",
        {
            "kind": "overshoot", "budget": row["budget"], "window": row["period"], "key": row["key"],
            "held": row["amount"], "paid": paid,
        },
    )  # fmt: skip


def _add(sql: Sql, budget: str, period: str, cap: int) -> None:
    sql.run(
        "INSERT INTO budgets (budget, period, cap, held, spent, unknown)"
        " VALUES (:budget, :period, :cap, 0, 0, 0) ON CONFLICT (budget, period) DO NOTHING",
        budget=budget, period=period, cap=cap,
    )  # fmt: skip


def _leave(sql: Sql, row: Row, status: str, *, now: int) -> None:
    """What was held is held no more."""
    amount = row["amount"]
    unknown = amount if status == "unknown" else 0
    _move(sql, row["budget"], row["period"], held=-amount, unknown=unknown, now=now)
    _renote(sql, row, status, amount)


def _move(
    sql: Sql, budget: str, period: str, *, held: int = 0, spent: int = 0, unknown: int = 0,
    capped: bool = False, now: int = 0,
) -> bool:  # fmt: skip
    """`now` is needed where more than before is taken for good: that may be news."""
    room = " AND held + spent + unknown + :held <= cap AND stopped IS NULL" if capped else ""
    row = sql.one(
        "UPDATE budgets SET held = held + :held, spent = spent + :spent, unknown = unknown + :unknown"
        f" WHERE budget = :budget AND period = :period{room} RETURNING *",
        budget=budget, period=period, held=held, spent=spent, unknown=unknown,
    )  # fmt: skip
    if row is not None and spent + unknown > 0:
        thresholds.taken(sql, row, spent + unknown, now=now)
    return row is not None


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


def _in_order(charges: Iterable[Charge]) -> Iterable[Charge]:
    """In the one order in which budgets are locked."""
    found: dict[tuple[str, str], Charge] = {}
    for charge in sorted(charges, key=lambda c: (c.budget, c.window)):
        at = (charge.budget, charge.window)
        if (charge.amount is not None and charge.amount < 0) or at in found:
            raise StoreError(
                f"budget {charge.budget!r} ({charge.window}) is charged {charge.amount} in one effect, "
                "below 0 or for the second time. Name each budget once, with 0 or more."
            )
        found[at] = charge
    return found.values()
