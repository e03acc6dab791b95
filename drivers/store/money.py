"""What is held, spent or unknown in each budget, and does one more effect fit?

held + spent + unknown never passes the cap: a hold is one conditional UPDATE of all its budgets. A charge is `held`
while its try is open, `unknown` when nobody can say, then `spent` or `freed`; the columns of a budget are the sums of
its charges.
"""

from collections.abc import Iterable, Sequence

from drivers.store import accounts, thresholds
from drivers.store.accounts import Change
from drivers.store.outbox import send
from drivers.store.short import Short, reason_of, short_of
from drivers.store.sql import Row, Sql
from drivers.store.thresholds import Standing
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
    wanted = _in_order(charges)
    if not _take(sql, wanted):
        wanted, shorts = _looked_at(sql, wanted, name)
        if shorts:
            return shorts
        if not _take(sql, wanted):
            raise StoreError(
                f"effect {key!r} has room in each of its budgets and could not be held: the store was changed "
                "by something else. See that nothing but Looprail writes to it, and ask again."
            )
    accounts.note(sql, key, attempt, wanted)
    return ()


def spend(sql: Sql, key: str, charges: Iterable[Charge], *, now: int) -> Short | None:
    """Hold and settle in one, for what is over as it begins (a run); none of it when one budget is short."""
    for short in hold(sql, key, 0, charges, name="run"):
        if not short.held and short.charge.since is None:
            thresholds.refused(sql, short, key=key, now=now)
        return short
    held = accounts.charged(sql, key, 0)
    _change(sql, key, 0, [_spent(row, row["amount"]) for row in held], now=now)
    return None


def release(sql: Sql, key: str, attempt: int) -> None:
    """The try surely cost nothing: what it held, or left unknown, is free again."""
    freed = [_freed(row) for row in accounts.charged(sql, key, attempt) if _pending(row)]
    accounts.change(sql, key, attempt, freed)


def doubt(sql: Sql, key: str, attempt: int, *, now: int) -> None:
    """Nobody can say what the try cost: what it held counts as unknown until someone can.

    It is not under way any more, whatever it cost: of calls at one moment it is none.
    """
    held = [row for row in accounts.charged(sql, key, attempt) if row["status"] == "held"]
    gone = [_freed(row) if unit_of(row["budget"]) == "concurrent" else _left(row) for row in held]
    _change(sql, key, attempt, gone, now=now)


def settle(sql: Sql, key: str, attempt: int, paid: Amounts, *, now: int) -> None:
    """The try took exactly this of every budget that it held.

    What was spent is booked even above the hold or the cap: it has happened. A call that took more than the most it
    could take stops the budget it took it from, and people are told: our bound is wrong, or the bill is. What has no
    price stays unknown, at what was held.
    """
    changes: list[Change] = []
    for row in accounts.charged(sql, key, attempt):
        amount = paid.of(unit_of(row["budget"]))
        if amount is not None:
            changes.append(_spent(row, amount))
        elif row["status"] == "held":
            changes.append(_left(row))
    _change(sql, key, attempt, changes, now=now)
    for change in changes:
        row = change.row
        over = change.status == "spent" and _pending(row) and change.amount > row["amount"]
        if over and row["budget"].endswith(_BOUNDED):
            _overshot(sql, row, change.amount)


def _change(sql: Sql, key: str, attempt: int, changes: Sequence[Change], *, now: int) -> None:
    """Make the changes; where more than before is taken for good, that may be news."""
    accounts.change(sql, key, attempt, changes)
    for change in changes:
        more = change.spent + change.unknown
        if more > 0 and thresholds.may_pass(change.row, more):
            thresholds.taken(sql, _after(change), more, now=now)


def _after(change: Change) -> Standing:
    """The budget of a charge as it stands once it is changed."""
    row = change.row
    return {
        "budget": row["budget"], "period": row["period"], "cap": row["cap"],
        "held": row["held"] + change.held, "spent": row["spent"] + change.spent,
        "unknown": row["unknown"] + change.unknown,
    }  # fmt: skip


def _pending(row: Row) -> bool:
    return row["status"] in ("held", "unknown")


def _spent(row: Row, amount: int) -> Change:
    status, back = row["status"], -row["amount"]
    held, unknown = back if status == "held" else 0, back if status == "unknown" else 0
    return Change(row, "spent", amount, held, amount, unknown)


def _left(row: Row) -> Change:
    """What was held is held no more, and counts until somebody can say."""
    amount = row["amount"]
    return Change(row, "unknown", amount, held=-amount, unknown=amount)


def _freed(row: Row) -> Change:
    back = {row["status"]: -row["amount"]}
    return Change(row, "freed", row["amount"], **back)


def _take(sql: Sql, charges: Sequence[Charge]) -> bool:
    """All of them are held, or none."""
    return all(
        charge.amount is not None and (charge.since is None or _fits(_budget(sql, charge), charge))
        for charge in charges
    ) and accounts.hold(sql, charges)


def _looked_at(
    sql: Sql, charges: Iterable[Charge], name: str
) -> tuple[list[Charge], tuple[Short, ...]]:
    """One by one: those that somebody caps and that fit, their windows made, and those that are short."""
    fitting: list[Charge] = []
    shorts: list[Short] = []
    for charge in charges:
        row = _budget(sql, charge)
        if row is None and charge.cap is not None:
            _add(sql, charge.budget, charge.window, charge.cap)
            row = _budget(sql, charge)
        if row is None:
            continue
        if _fits(row, charge):
            fitting.append(charge)
        else:
            shorts.append(short_of(row, charge, name))
    return fitting, tuple(shorts)


def _fits(row: Row | None, charge: Charge) -> bool:
    if row is None or row["stopped"] is not None or charge.amount is None:
        return False
    return row["held"] + row["spent"] + row["unknown"] + charge.amount <= row["cap"]


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


def _in_order(charges: Iterable[Charge]) -> Sequence[Charge]:
    """Which budget is looked at first, and told of when several are short."""
    found: dict[tuple[str, str], Charge] = {}
    for charge in sorted(charges, key=lambda c: (c.budget, c.window)):
        at = (charge.budget, charge.window)
        if (charge.amount is not None and charge.amount < 0) or at in found:
            raise StoreError(
                f"budget {charge.budget!r} ({charge.window}) is charged {charge.amount} in one effect, "
                "below 0 or for the second time. Name each budget once, with 0 or more."
            )
        found[at] = charge
    return tuple(found.values())
