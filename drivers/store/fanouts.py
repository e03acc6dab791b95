"""What will a heartbeat's new items cost, may they be handed out, and what does a person say to that?

Priced and judged once, in the transaction that puts the items in the inbox (T2), by the rules in force and by what
items of the loop really cost. A later life of the heartbeat finds the verdict, and so does a person.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from drivers.store.anew import hand_out
from drivers.store.items import one_less
from drivers.store.outbox import send
from drivers.store.pages import note
from drivers.store.recompose import recompose
from drivers.store.sql import Row, Sql
from governance.budgets import FanOutRule
from governance.effects import Stop
from governance.fanout import (
    PAST,
    Answering,
    Ceiling,
    Excess,
    FanOut,
    FanOutRuleInForce,
    NotAnswered,
    Price,
    above,
    kept_back,
    matching,
    priced,
    sentence,
)
from governance.parts import canonical
from governance.statepage import outcome_of


def fan_out(
    sql: Sql, run: Row, items: int, ceilings: Sequence[Ceiling], *, owner: str, team: str, now: int
) -> bool:
    """Price what is new in the inbox; True when it may be handed out, else it is kept back and people are told."""
    name, loop = run["run"], run["loop"]
    price = priced(items, past_costs(sql, loop), ceilings)
    rules = matching(_in_force(sql), loop=loop, owner=owner, team=team)
    excess = above(rules, price)
    told = sentence(price, rules, excess)
    sql.run(
        "INSERT INTO fan_outs (run, loop, price, told, refused_by, at)"
        " VALUES (:run, :loop, :price, :told, :refused_by, :now)",
        run=name, loop=loop, price=canonical(asdict(price)), told=told,
        refused_by=canonical([asdict(e) for e in excess]), now=now,
    )  # fmt: skip
    if not excess:
        return True
    stop = Stop("fan_out", kept_back(told, name))
    sql.run(
        "UPDATE items SET status = 'kept_back', stop_reason = :reason, stop_detail = :detail"
        " WHERE run = :run",
        reason=stop.reason, detail=stop.detail, run=name,
    )  # fmt: skip
    recompose(sql, loop, by=f"run {name}", now=now)
    figures = {"items": items, "usd": price.usd, "told": told, "at": now}
    send(
        sql, "notice", f"fan-out-{name}", {"kind": "fan_out", "run": name, "loop": loop, **figures}
    )
    return False


def past_costs(sql: Sql, loop: str) -> tuple[int, ...]:
    """What the loop's last ended items cost, those left out that nothing was asked for.

    Unknown counts with all it may be; an item whose cost nobody can say is none that cost nothing.
    """
    found = sql.all(
        "SELECT (SELECT sum(coalesce(l.cost, CASE WHEN l.status = 'unknown' THEN l.reserved ELSE 0 END))"
        " FROM ledger l WHERE l.owner = i.item) AS cost,"
        " (SELECT count(*) FROM ledger l WHERE l.owner = i.item AND l.cost IS NULL"
        " AND (l.cost_status = 'unpriced' OR l.status = 'unknown' AND l.reserved = 0)) AS unsaid"
        " FROM items i WHERE i.loop = :loop AND i.closed_at IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM ledger l WHERE l.owner = i.item)"
        " ORDER BY i.closed_at DESC, i.item DESC LIMIT :most",
        loop=loop, most=PAST,
    )  # fmt: skip
    return tuple(int(row["cost"]) for row in found if not row["unsaid"])


def answer(sql: Sql, wanted: Answering, *, now: int) -> FanOut | NotAnswered:
    """A person's word: all that was kept back is handed out, or all of it ends. The first one counts."""
    there = of_run(sql, wanted.run)
    if there is None or not there.kept_back:
        return NotAnswered(_why_not(wanted.run, there))
    sql.run(
        "UPDATE fan_outs SET answer = :answer, said_by = :by, why = :why, answered_at = :now"
        " WHERE run = :run",
        answer=wanted.answer, by=wanted.by, why=wanted.why, now=now, run=wanted.run,
    )  # fmt: skip
    kept = sql.all(
        "SELECT * FROM items WHERE run = :run AND status = 'kept_back' ORDER BY nth", run=wanted.run
    )
    for item in kept:
        if wanted.answer == "allow":
            _let_go(sql, item, now)
        else:
            _discard(sql, item, wanted, now)
    what = "fan-out allowed" if wanted.answer == "allow" else "fan-out discarded"
    detail = f"{there.told}: {wanted.why}"
    note(sql, who=wanted.by, what=what, subject=wanted.run, detail=detail, now=now)
    recompose(sql, there.loop, by=wanted.by, now=now)
    after = of_run(sql, wanted.run)
    assert after is not None
    return after


def _let_go(sql: Sql, item: Row, now: int) -> None:
    sql.run(
        "UPDATE items SET stop_reason = NULL, stop_detail = NULL WHERE item = :item",
        item=item["item"],
    )
    # Named by its moment: after a restore it may be let go once more, and Prefect knows the first one.
    hand_out(sql, item, f"{item['loop']}-{item['item']}-allowed-{now}", ahead=0, now=now)


def _discard(sql: Sql, item: Row, wanted: Answering, now: int) -> None:
    outcome = outcome_of(evidence=[], actions=[], claims="", links={})
    sql.run(
        "UPDATE items SET status = 'stopped', stop_reason = 'rejected', stop_detail = :detail,"
        " outcome = :outcome, closed_at = :now WHERE item = :item",
        detail=f"{wanted.by} discarded its fan-out: {wanted.why}", outcome=canonical(outcome),
        now=now, item=item["item"],
    )  # fmt: skip
    one_less(sql, item["run"], now)


def _why_not(run: str, there: FanOut | None) -> str:
    if there is None:
        return f"run {run!r} has handed out nothing, or is not there. `loops fanout list` shows what is kept back."
    if there.answer is None:
        return f"the fan-out of run {run!r} was allowed by the rules: {there.told}."
    return f"the fan-out of run {run!r} was {there.standing} before, by {there.by}: {there.why}"


def of_run(sql: Sql, run: str) -> FanOut | None:
    """What a run's heartbeat handed out, or what was kept back of it: all or nothing."""
    row = sql.one("SELECT * FROM fan_outs WHERE run = :run", run=run)
    return None if row is None else _row(row)


def on_record(sql: Sql, *, kept_back: bool = False, limit: int = 50) -> tuple[FanOut, ...]:
    """Fan-outs, newest first; with `kept_back` only those that wait for a person."""
    where = " WHERE refused_by <> '[]' AND answer IS NULL" if kept_back else ""
    found = sql.all(
        f"SELECT * FROM fan_outs{where} ORDER BY at DESC, run LIMIT :limit", limit=limit
    )
    return tuple(_row(row) for row in found)


def rules(sql: Sql) -> tuple[FanOutRuleInForce, ...]:
    """All that is in force, by name."""
    found = sql.all("SELECT * FROM fan_out_rules ORDER BY rule")
    return tuple(
        FanOutRuleInForce(_read(row["body"]), row["since"], row["said_by"]) for row in found
    )


def _in_force(sql: Sql) -> tuple[FanOutRule, ...]:
    return tuple(found.rule for found in rules(sql))


def _read(body: str) -> FanOutRule:
    return FanOutRule.model_validate_json(body)


def _row(row: Row) -> FanOut:
    refused_by = tuple(Excess(**told) for told in json.loads(row["refused_by"]))
    return FanOut(
        row["run"], row["loop"], Price(**json.loads(row["price"])), row["told"], refused_by, row["at"],
        row["answer"], row["said_by"], row["why"], row["answered_at"],
    )  # fmt: skip
