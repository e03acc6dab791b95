"""How does what a cap has stopped go on, once a person raises the cap?

One transaction: the cap, the record of who raised it and why, every item that had stopped for it and can go on, its
run, its dispatch, and the page of its loop; and what waits for it is woken.
"""

from collections.abc import Sequence

from drivers.store import raises, rows, spending, waking
from drivers.store.anew import hand_out
from drivers.store.items import FINAL
from drivers.store.recompose import recompose
from drivers.store.sql import Row, Sql
from governance.charges import unit_of
from governance.draws import RULE
from governance.raises import CAPPED, NotRaised, Raised, Raising, amount
from governance.records import ItemRow


def raise_cap(sql: Sql, wanted: Raising, *, now: int) -> Raised | NotRaised:
    """Raise one cap and hand out anew what had stopped for it; the refusal says what stands in the way."""
    raises.expire(sql, now)
    before = raises.in_force(sql, wanted.budget, wanted.window, now)
    stopped = _stopped_for(sql, wanted.budget, wanted.window)
    refused = _cap_refuses(sql, wanted, before) or _ending(stopped)
    if refused is not None:
        return NotRaised(refused)
    ended = [row for row in stopped if row["status"] == "stopped"]
    left = tuple((row["item"], why) for row in ended if (why := _in_the_way(sql, row)) is not None)
    stays = {item for item, _ in left}
    going = [row for row in ended if row["item"] not in stays]
    if not going and not _still_used(sql, wanted):
        return NotRaised(left[0][1] if left else _for_nobody(wanted))
    base = before["base"] if before is not None else wanted.seen
    raised = raises.put(sql, wanted, base=base, now=now)
    for row in going:
        _go_on(sql, row, raised.nth, now)
    for loop in sorted({row["loop"] for row in going}):
        recompose(sql, loop, by=f"raise {raised.nth}", now=now)
    woken = tuple(item for item, _ in waking.wake(sql, now, budget=wanted.budget))
    return Raised(raised, wanted.seen, tuple(row["item"] for row in going), left, woken)


def stopped_for(sql: Sql, budget: str, window: str) -> tuple[ItemRow, ...]:
    """Items that this cap has stopped."""
    return tuple(rows.item_row(row) for row in _stopped_for(sql, budget, window))


def _stopped_for(sql: Sql, budget: str, window: str) -> Sequence[Row]:
    found = sql.all(
        "SELECT * FROM items WHERE capped_by = :budget AND capped_in = :period ORDER BY item",
        budget=budget, period=window,
    )  # fmt: skip
    return [row for row in found if row["stop_reason"] in CAPPED]


def _cap_refuses(sql: Sql, wanted: Raising, before: Row | None) -> str | None:
    """What the figures say against it."""
    unit = unit_of(wanted.budget)
    row = sql.one(
        "SELECT * FROM budgets WHERE budget = :budget AND period = :period",
        budget=wanted.budget, period=wanted.window,
    )  # fmt: skip
    if row is None and unit != "minutes":
        return f"there is no budget {wanted.budget!r} in window {wanted.window!r}. Look with `loops budget list`."
    known = row if row is not None else before
    cap = known["cap"] if known is not None else wanted.seen
    say = [amount(v, unit) for v in (cap, wanted.seen, wanted.to)]
    if _rolls(sql, wanted.budget):
        return (
            f"{wanted.budget!r} rolls, and its room comes back by itself. Change the rule in registry/budgets.yaml and "
            "`loops apply`."
        )
    if cap != wanted.seen:
        return f"the cap of {wanted.budget!r} is {say[0]} {unit} by now, not {say[1]}. Look again."
    if wanted.to <= cap:
        return f"{wanted.budget!r} is capped at {say[0]} {unit}, and {say[2]} is no more. Name a higher amount."
    taken = row["spent"] + row["unknown"] if row is not None else _awake(sql, wanted)
    if wanted.to <= taken:
        return (
            f"of {wanted.budget!r} {amount(taken, unit)} {unit} are spent or unknown, so {say[2]} would leave no room. "
            "Name a higher amount."
        )
    return None


def _rolls(sql: Sql, budget: str) -> bool:
    name = budget.removeprefix(RULE).partition("/")[0]
    ours = budget.startswith(RULE)
    return ours and any(r.rule.name == name and r.rule.rolls for r in spending.rules(sql))


def _awake(sql: Sql, wanted: Raising) -> int:
    item = sql.one(
        "SELECT awake_ms FROM items WHERE item = :item",
        item=wanted.budget.split(":")[1],
    )
    return item["awake_ms"] if item is not None else 0


def _ending(stopped: Sequence[Row]) -> str | None:
    """An item that was just told to stop, and whose process has not closed it yet."""
    for row in stopped:
        if row["status"] not in FINAL:
            return (
                f"item {row['item']!r} is just ending because of this cap. Try again in a moment."
            )
    return None


def _in_the_way(sql: Sql, row: Row) -> str | None:
    """Why an item that has ended cannot go on, and what can be done instead."""
    if row["forgotten"] is not None:
        return (
            f"item {row['item']!r} has ended so long ago that its content was forgotten (retention in org.yaml), "
            f"and cannot go on. The next heartbeat of {row['loop']!r} looks anew."
        )
    other = sql.one(
        "SELECT item, status FROM items WHERE loop = :loop AND dedupe = :dedupe"
        " AND status NOT IN ('done', 'stopped')",
        loop=row["loop"], dedupe=row["dedupe"],
    )  # fmt: skip
    if other is None:
        return None
    return (
        f"item {row['item']!r} cannot go on: the same thing was found again, and item {other['item']!r} is "
        f"{other['status']} on it. Let that one end (`loops trace {other['item']}`), or cancel its flow run first."
    )


def _still_used(sql: Sql, wanted: Raising) -> bool:
    """Whether anything draws on the budget, though nothing has stopped for it."""
    if wanted.budget.startswith(RULE):
        return True
    whose, _, rest = wanted.budget.partition(":")
    name = rest.rpartition(":")[0]
    found = sql.one(
        "SELECT 1 FROM runs WHERE run = :name AND status = 'open'"
        " AND (:whose = 'run' OR found_at IS NULL)"
        " UNION ALL SELECT 1 FROM items WHERE item = :name AND status NOT IN ('done', 'stopped')",
        name=name, whose=whose,
    )  # fmt: skip
    return found is not None


def _for_nobody(wanted: Raising) -> str:
    return (
        f"nothing would come of it: what {wanted.budget!r} is about has ended, and not because of this cap. Caps of "
        "later runs are in the loop's file (harness)."
    )


def _go_on(sql: Sql, row: Row, nth: int, now: int) -> None:
    sql.run(
        "UPDATE items SET stop_reason = NULL, stop_detail = NULL, outcome = NULL, closed_at = NULL,"
        " capped_by = NULL, capped_in = NULL, waited_ms = NULL WHERE item = :item",
        item=row["item"],
    )  # fmt: skip
    sql.run(
        "UPDATE runs SET status = 'open', closed_at = NULL, reopened = coalesce(reopened, 0) + 1"
        " WHERE run = :run AND status = 'closed'",
        run=row["run"],
    )
    sql.run("UPDATE runs SET open_items = open_items + 1 WHERE run = :run", run=row["run"])
    hand_out(sql, row, f"{row['loop']}-{row['item']}-raised-{nth}", ahead=1, now=now)
