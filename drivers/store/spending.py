"""Which rules about spending are in force, and what does this effect draw on because of them?"""

from collections.abc import Sequence

from drivers.store import money, raises, rulebook
from drivers.store.short import Short
from drivers.store.sql import Sql
from drivers.store.thresholds import read_rule
from governance.budgets import BudgetRule, FanOutRule
from governance.charges import Charge
from governance.draws import RULE, Drawing, begins, draws
from governance.effects import Intent, Principal
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
    sql: Sql, wanted: Sequence[BudgetRule], fan_outs: Sequence[FanOutRule], *, by: str, now: int
) -> None:
    """Put exactly these in force; every change is audited, and a changed cap holds for windows that have begun."""
    rulebook.put(sql, "fan_out", fan_outs, by=by, now=now)
    changed = rulebook.put(sql, "budget", wanted, by=by, now=now)
    for rule in sorted(wanted, key=lambda r: r.name):
        if rule.name in changed:
            _cap_anew(sql, rule)


def _cap_anew(sql: Sql, rule: BudgetRule) -> None:
    # '0' follows '/': all that begins with the rule's name.
    first, last = f"{RULE}{rule.name}/", f"{RULE}{rule.name}0"
    sql.run(
        "UPDATE budgets SET cap = :cap WHERE budget >= :first AND budget < :last",
        cap=rule.cap, first=first, last=last,
    )  # fmt: skip
    raises.rebase(sql, first, last, rule.cap)


def _rules(sql: Sql) -> tuple[BudgetRule, ...]:
    return tuple(read_rule(row["body"]) for row in sql.all("SELECT body FROM budget_rules"))
