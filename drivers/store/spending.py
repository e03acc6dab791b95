"""Which rules about spending are in force, and what does this effect draw on because of them?"""

from collections.abc import Sequence

from drivers.store import fanouts, money, raises
from drivers.store.pages import note
from drivers.store.short import Short
from drivers.store.sql import Sql
from drivers.store.thresholds import read_rule
from governance.budgets import BudgetRule, FanOutRule
from governance.charges import Charge
from governance.draws import RULE, Drawing, begins, draws
from governance.effects import Intent, Principal
from governance.parts import canonical
from governance.records import RuleInForce


def drawn(sql: Sql, intent: Intent) -> tuple[Charge, ...]:
    """What an effect takes from the budgets of every rule that matches it."""
    drawing = Drawing(intent.place.run, intent.principal, intent.kind, intent.name)
    return draws(_rules(sql), drawing, intent.most, intent.now)


def begin(sql: Sql, run: str, by: Principal, now: int) -> Short | None:
    """A run is counted by every rule that counts it, or by none and which one has no room."""
    return money.spend(sql, run, begins(_rules(sql), run, by, now), now=now)


def rules(sql: Sql) -> tuple[RuleInForce, ...]:
    """All that is in force, by name."""
    found = sql.all("SELECT * FROM budget_rules ORDER BY rule")
    return tuple(RuleInForce(read_rule(row["body"]), row["since"], row["said_by"]) for row in found)


def put_rules(
    sql: Sql, wanted: Sequence[BudgetRule], fan_outs: Sequence[FanOutRule] = (), *, by: str,
    now: int,
) -> None:  # fmt: skip
    """Put exactly these in force; every change is audited, and a changed cap holds for windows that have begun."""
    fanouts.put_rules(sql, fan_outs, by=by, now=now)
    before = {row["rule"]: row["body"] for row in sql.all("SELECT * FROM budget_rules")}
    after = {rule.name: spelled(rule) for rule in wanted}
    for name in sorted(before.keys() - after.keys()):
        sql.run("DELETE FROM budget_rules WHERE rule = :rule", rule=name)
        note(sql, who=by, what="budget rule gone", subject=name, detail=before[name], now=now)
    for rule in sorted(wanted, key=lambda r: r.name):
        body, was = after[rule.name], before.get(rule.name)
        if body != was:
            sql.run(
                "INSERT INTO budget_rules (rule, body, since, said_by) VALUES (:rule, :body, :now, :by)"
                " ON CONFLICT (rule) DO UPDATE SET body = :body, since = :now, said_by = :by",
                rule=rule.name, body=body, now=now, by=by,
            )  # fmt: skip
            # '0' follows '/': all that begins with the rule's name.
            first, last = f"{RULE}{rule.name}/", f"{RULE}{rule.name}0"
            sql.run(
                "UPDATE budgets SET cap = :cap WHERE budget >= :first AND budget < :last",
                cap=rule.cap, first=first, last=last,
            )  # fmt: skip
            raises.rebase(sql, first, last, rule.cap)
            detail = body if was is None else f"{was} to {body}"
            note(
                sql, who=by, what="budget rule in force", subject=rule.name, detail=detail, now=now
            )


def spelled(rule: BudgetRule) -> str:
    """A rule as it is kept: the same rule, the same text."""
    return canonical(rule.model_dump(mode="json", exclude_defaults=True))


def _rules(sql: Sql) -> tuple[BudgetRule, ...]:
    return tuple(read_rule(row["body"]) for row in sql.all("SELECT body FROM budget_rules"))
