"""Has money just come to a point that people are to be told of?

Asked in the transaction that brings it there, so that a kill leaves both or neither. The notice is in the outbox under
a name made of budget, window, cap and cause: the same cause is noted once, whoever restarts, and a raised cap is a
cause of its own. Figures go with the notice, since it is sent later.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from drivers.store.outbox import send
from drivers.store.short import Short
from drivers.store.sql import Row, Sql
from governance.alerts import (
    SPIKE_FLOOR,
    SPIKE_PAST,
    crossed,
    middle,
    shares_of,
    spike_at,
    told_when_refused,
    told_when_waited_for,
)
from governance.approvals import moment
from governance.budgets import BudgetRule
from governance.draws import BEHIND_SLICES, NOW, RULE, SLICE, period
from governance.parts import DAY_MS, Json
from governance.waits import Wait

Standing = Mapping[str, Any]
"""A budget in one window: what it is called, its cap, and what is held, spent and unknown."""

NEVER = -1
"""A run that no amount makes a spike: its loop has no past, or people were told."""


def may_pass(budget: Row, more: int) -> bool:
    """False for most settlings: they come to no other whole percent, so no share is passed, whatever the rule says.

    `budget` is as it stood before `more` was taken.
    """
    before, cap = budget["spent"] + budget["unknown"], max(budget["cap"], 1)
    return (before + more) * 100 // cap != before * 100 // cap or _rolls(budget)


def taken(sql: Sql, budget: Standing, more: int, *, now: int) -> None:
    """`budget` as it stands after `more` of it was settled or became unknown: is a share of it passed?"""
    rule = rule_of(sql, budget["budget"])
    shares = shares_of(budget["budget"]) if rule is None else rule.shares
    if not shares:
        return
    standing = _standing(sql, budget, rule, now)
    after = standing["spent"] + standing["unknown"]
    share = crossed(shares, budget["cap"], after - more, after)
    if share is not None:
        _tell(sql, f"share-{share}", standing, {"kind": "share", "share": share, "at": now})


def _rolls(budget: Row) -> bool:
    """Whether it is a slice of a window that rolls: then how much counts stands in other slices as well."""
    return len(budget["period"]) == SLICE and budget["period"].isdecimal()


def refused(sql: Sql, short: Short, *, key: str, now: int) -> None:
    """The effect `key` was refused for good, since this budget has no room for what it asked for.

    Not told of one that was stopped: people were told when it was.
    """
    budget, asked = short.row, short.charge.amount
    if asked is None or budget["stopped"] is not None:
        return
    if told_when_refused(budget["budget"]):
        standing = _standing(sql, budget, rule_of(sql, budget["budget"]), now)
        _tell(sql, "refused", standing, {"kind": "refused", "asked": asked, "key": key, "at": now})


def waited(sql: Sql, short: Short, wait: Wait, *, key: str, now: int) -> None:
    """The effect `key` has waited for this budget for as long as a process waits, and goes on waiting without one.

    Of what comes back within a day people are told once a day.
    """
    if not told_when_waited_for(wait.budget):
        return
    rule = rule_of(sql, wait.budget)
    standing = _standing(sql, short.row, rule, now)
    if rule is not None and rule.passing:
        standing["window"] = f"{rule.per or NOW} on {moment(now - now % DAY_MS)[:10]}"
    alert = {"kind": "waits", "asked": wait.asked, "until": wait.until, "key": key, "at": now}
    _tell(sql, "waits", standing, alert)


def rule_of(sql: Sql, budget: str) -> BudgetRule | None:
    """The rule whose budget it is; None for a run's or an item's own, and for one whose rule is gone."""
    if not budget.startswith(RULE):
        return None
    name = budget.removeprefix(RULE).partition("/")[0]
    row = sql.one("SELECT body FROM budget_rules WHERE rule = :rule", rule=name)
    return None if row is None else read_rule(row["body"])


@lru_cache(maxsize=1024)
def read_rule(body: str) -> BudgetRule:
    """A rule as it is kept."""
    return BudgetRule.model_validate_json(body)


def _standing(sql: Sql, budget: Row | Standing, rule: BudgetRule | None, now: int) -> Json:
    """The budget with all that counts in its window; one that rolls is told of once in each stretch of its length."""
    figures = {name: budget[name] for name in ("budget", "cap", "held", "spent", "unknown")}
    if rule is None or rule.rolls is None:
        return {**figures, "window": budget["period"]}
    _, since = period(rule, "", now)
    whole = sql.one(
        "SELECT sum(held) AS held, sum(spent) AS spent, sum(unknown) AS unknown FROM budgets"
        " WHERE budget = :budget AND period >= :since AND period < :behind",
        budget=budget["budget"], since=since, behind=BEHIND_SLICES,
    )  # fmt: skip
    assert whole is not None
    length = rule.rolls // timedelta(milliseconds=1)
    began = moment(now - now % length)
    rolled = {name: whole[name] or 0 for name in ("held", "spent", "unknown")}
    return {**figures, **rolled, "window": f"{rule.per} from {began}"}


def _tell(sql: Sql, cause: str, standing: Json, alert: Json) -> None:
    key = f"{cause}-{standing['budget']}-{standing['window']}-{standing['cap']}"
    send(sql, "notice", key, {**alert, **standing})


def paid(sql: Sql, run: str, loop: str, *, now: int) -> None:
    """A try of `run` was settled with a cost: does the run cost far more than its loop's runs before it?"""
    so_far = sql.one(
        "SELECT sum(m.cost) AS cost, r.spike_at FROM runs r JOIN meter m ON m.run = r.run"
        " WHERE r.run = :run GROUP BY r.run, r.spike_at",
        run=run,
    )
    if so_far is None or so_far["cost"] < (so_far["spike_at"] or SPIKE_FLOOR):
        return
    if so_far["spike_at"] == NEVER:
        return
    past = _past(sql, run, loop)
    limit = spike_at(past)
    spikes = limit is not None and so_far["cost"] >= limit
    if spikes:
        figures = {"past": len(past), "middle": middle(past), "dearest": max(past)}
        send(
            sql, "notice", f"spike-{run}",
            {"kind": "spike", "run": run, "loop": loop, "cost": so_far["cost"], "at": now, **figures},
        )  # fmt: skip
    noted = NEVER if spikes or limit is None else limit
    sql.run("UPDATE runs SET spike_at = :at WHERE run = :run", at=noted, run=run)


def _past(sql: Sql, run: str, loop: str) -> tuple[int, ...]:
    """What the loop's newest closed runs cost, those that cost nothing left out."""
    found = sql.all(
        "SELECT (SELECT sum(m.cost) FROM meter m WHERE m.run = r.run) AS cost FROM runs r"
        " WHERE r.loop = :loop AND r.status = 'closed' AND r.run <> :run"
        " ORDER BY r.opened_at DESC, r.run LIMIT :most",
        loop=loop, run=run, most=SPIKE_PAST,
    )  # fmt: skip
    return tuple(row["cost"] for row in found if row["cost"])
