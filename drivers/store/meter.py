"""What was settled by whom, and what is under way, without a scan of the ledger?

Each settling adds to one row of the meter: the UTC day on which the call began, as reports and bills count it, the run,
the agent and the model. What is under way stands in the index of open tries; the last minute at the end of the order of
settling. A meter is read on one snapshot, and the database adds a month up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from drivers.store import rows
from drivers.store.reading import waiting
from drivers.store.spending import rules
from drivers.store.sql import Row, Sql
from governance.budgets import BudgetRule
from governance.draws import BEHIND_SLICES, RULE, period
from governance.effects import NO_PRICE
from governance.meter import RATE_MS, Figures, Leaf, Reading, RunSum, added
from governance.parts import DAY_MS
from governance.records import Budget

NEWEST = 5_000
"""Tries that are looked at for the last minute; where more were settled in it, the rate is the least it can be."""
_OF_A_MODEL = '"gen_ai.request.model"'
"""What only a model call notes of itself, as it stands in the attributes of its try."""
_UNITS = ("usd", "tokens", "steps")
_SUMS = "sum(tries) AS tries, sum(cost) AS cost, sum(unknown) AS unknown, sum(unpriced) AS unpriced"


@dataclass(frozen=True)
class Ended:
    """How a try stands from now on."""

    status: str
    cost: int | None
    cost_status: str


def count(sql: Sql, row: Row, end: Ended) -> None:
    """Add a try as it ended; one that was settled before, as unknown say, first leaves the meter as it was."""
    if row["seq"] is not None:
        _add(sql, row, Ended(row["status"], row["cost"], row["cost_status"]), -1)
    _add(sql, row, end, 1)


def _add(sql: Sql, row: Row, end: Ended, sign: int) -> None:
    sql.run(
        "INSERT INTO meter (day, run, agent, model, loop, loop_owner, team, tries, cost, unknown, unpriced)"
        " VALUES (:day, :run, :agent, :model, :loop, :user, :team, :tries, :cost, :unknown, :unpriced)"
        " ON CONFLICT (day, run, agent, model) DO UPDATE SET tries = meter.tries + :tries,"
        " cost = meter.cost + :cost, unknown = meter.unknown + :unknown,"
        " unpriced = meter.unpriced + :unpriced",
        day=row["started_at"] // DAY_MS, run=row["run"], agent=row["agent"], model=_model(row),
        loop=row["loop"], user=row["loop_owner"], team=row["team"], tries=sign,
        cost=sign * (end.cost or 0),
        unknown=sign * (row["reserved"] if end.status == "unknown" else 0),
        unpriced=sign * (end.cost_status in NO_PRICE),
    )  # fmt: skip


def _model(row: Row) -> str:
    return row["name"] if _OF_A_MODEL in row["attributes"] else ""


def reading(sql: Sql, *, days: int = 1, now: int) -> Reading:
    """The meter over calls that began today or on the `days` - 1 UTC days before."""
    first = now // DAY_MS - days + 1
    by_agent = sql.all(
        f"SELECT loop, loop_owner, team, agent, model, {_SUMS} FROM meter WHERE day >= :first"
        " GROUP BY loop, loop_owner, team, agent, model",
        first=first,
    )  # fmt: skip
    # In the order of the key: a month of runs needs no sorting then.
    by_run = sql.all(
        f"SELECT day, run, min(loop) AS loop, '' AS model, {_SUMS} FROM meter WHERE day >= :first"
        " GROUP BY day, run",
        first=first,
    )  # fmt: skip
    runs = sql.all("SELECT run FROM runs WHERE status = 'open' ORDER BY opened_at, run")
    budgets = (*_of_rules(sql, now), *_of_open_runs(sql))
    found = _reading(
        now, first * DAY_MS, _settled(by_agent), _settled(by_run),
        (*_under_way(sql), *_last_minute(sql, now)), budgets, tuple(row["run"] for row in runs),
    )  # fmt: skip
    return replace(found, waiting=waiting(sql))


def run_reading(sql: Sql, run: str, *, now: int) -> Reading | None:
    """The meter of one run from its beginning; None for a run there is not."""
    row = sql.one("SELECT opened_at, status FROM runs WHERE run = :run", run=run)
    if row is None:
        return None
    settled = _settled(sql.all("SELECT * FROM meter WHERE run = :run", run=run))
    budgets = [
        sql.one(
            "SELECT * FROM budgets WHERE budget = :budget AND period = :run",
            budget=f"run:{run}:{unit}", run=run,
        )
        for unit in _UNITS
    ]  # fmt: skip
    live = [r for r in (*_under_way(sql), *_last_minute(sql, now)) if r[0]["run"] == run]
    capped = tuple(rows.budget(budget) for budget in budgets if budget is not None)
    open_runs = (run,) if row["status"] == "open" else ()
    return _reading(now, row["opened_at"], settled, settled, live, capped, open_runs)


Counted = Iterable[tuple[Row, str, Figures]]
"""Rows that say whose it is, the model, and what it comes to."""


def _reading(
    now: int, since: int, by_agent: Counted, by_run: Counted, live: Counted,
    budgets: tuple[Budget, ...], open_runs: tuple[str, ...],
) -> Reading:  # fmt: skip
    """`live` is what is of now: it goes to its agent and to its run."""
    agents = added(
        ((r["loop"], r["loop_owner"], r["team"], r["agent"], model), figures)
        for r, model, figures in (*by_agent, *live)
    )
    runs = added(((r["run"], r["loop"]), figures) for r, _, figures in (*by_run, *live))
    return Reading(
        now, since,
        tuple(Leaf(*whose, figures) for whose, figures in agents.items()),
        tuple(RunSum(*whose, figures) for whose, figures in runs.items()),
        budgets, open_runs,
    )  # fmt: skip


def _settled(found: Sequence[Row]) -> list[tuple[Row, str, Figures]]:
    return [
        (r, r["model"], Figures(r["cost"], r["unknown"], tries=r["tries"], unpriced=r["unpriced"]))
        for r in found
    ]


def _under_way(sql: Sql) -> list[tuple[Row, str, Figures]]:
    open_tries = sql.all("SELECT * FROM ledger WHERE status = 'open' ORDER BY lease")
    return [(r, _model(r), Figures(held=r["reserved"], under_way=1)) for r in open_tries]


def _last_minute(sql: Sql, now: int) -> list[tuple[Row, str, Figures]]:
    found = sql.all(
        "SELECT * FROM ledger WHERE seq > (SELECT value FROM counters WHERE name = 'settled') - :newest"
        " AND ended_at > :since AND cost > 0",
        newest=NEWEST, since=now - RATE_MS,
    )  # fmt: skip
    return [(r, _model(r), Figures(per_minute=r["cost"])) for r in found]


def _of_rules(sql: Sql, now: int) -> tuple[Budget, ...]:
    """The budgets that were drawn on in the windows of now; those of runs, in open runs."""
    return tuple(
        Budget(
            row["budget"],
            _window(known.rule, row),
            known.rule.cap,
            row["held"],
            row["spent"],
            row["unknown"],
        )
        for known in rules(sql)
        for row in _of_rule(sql, known.rule, now)
    )


def _of_rule(sql: Sql, rule: BudgetRule, now: int) -> Sequence[Row]:
    window, since = period(rule, "", now)
    which = "= :window"
    if rule.per == "run":
        which = "IN (SELECT run FROM runs WHERE status = 'open')"
    elif since is not None:
        which = f">= :since AND b.period < '{BEHIND_SLICES}'"
    every = "b.period" if since is None else "min(b.period)"
    # From one budget to the next, whatever windows lie between: a rule that rolls leaves thousands behind.
    return sql.all(
        "WITH RECURSIVE whose(budget) AS ("
        "SELECT min(budget) FROM budgets WHERE budget >= :first AND budget < :last UNION ALL"
        " SELECT (SELECT min(n.budget) FROM budgets n WHERE n.budget > whose.budget AND n.budget < :last)"
        " FROM whose WHERE whose.budget IS NOT NULL)"
        f" SELECT b.budget, {every} AS period, sum(b.held) AS held, sum(b.spent) AS spent,"
        " sum(b.unknown) AS unknown FROM whose JOIN budgets b ON b.budget = whose.budget"
        f" AND b.period {which} GROUP BY b.budget{'' if since else ', b.period'} ORDER BY b.budget",
        first=f"{RULE}{rule.name}/", last=f"{RULE}{rule.name}0", window=window, since=since,
    )  # fmt: skip


def _window(rule: BudgetRule, row: Row) -> str:
    return f"last {rule.per}" if rule.rolls else row["period"]


def _of_open_runs(sql: Sql) -> tuple[Budget, ...]:
    named = ", ".join(f"'run:' || r.run || ':{unit}'" for unit in _UNITS)
    found = sql.all(
        f"SELECT b.* FROM runs r JOIN budgets b ON b.budget IN ({named}) AND b.period = r.run"
        " WHERE r.status = 'open' ORDER BY r.opened_at, b.budget"
    )
    return tuple(rows.budget(row) for row in found)
