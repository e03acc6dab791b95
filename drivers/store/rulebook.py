"""How do rules of one kind come to be exactly those that are wanted?"""

from collections.abc import Sequence
from typing import Literal

from drivers.store.pages import note
from drivers.store.sql import Sql
from governance.budgets import BudgetRule, FanOutRule
from governance.parts import canonical

Kind = Literal["budget", "fan_out"]


def put(
    sql: Sql, kind: Kind, wanted: Sequence[BudgetRule] | Sequence[FanOutRule], *, by: str, now: int
) -> tuple[str, ...]:
    """Put exactly these in force, each change audited; the names of those that are new or changed, in order."""
    table, what = f"{kind}_rules", f"{kind.replace('_', '-')} rule"
    before = {row["rule"]: row["body"] for row in sql.all(f"SELECT * FROM {table}")}
    after = {rule.name: spelled(rule) for rule in sorted(wanted, key=lambda r: r.name)}
    for name in sorted(before.keys() - after.keys()):
        sql.run(f"DELETE FROM {table} WHERE rule = :rule", rule=name)
        note(sql, who=by, what=f"{what} gone", subject=name, detail=before[name], now=now)
    changed = tuple(name for name, body in after.items() if body != before.get(name))
    for name in changed:
        body, was = after[name], before.get(name)
        sql.run(
            f"INSERT INTO {table} (rule, body, since, said_by) VALUES (:rule, :body, :now, :by)"
            " ON CONFLICT (rule) DO UPDATE SET body = :body, since = :now, said_by = :by",
            rule=name, body=body, now=now, by=by,
        )  # fmt: skip
        detail = body if was is None else f"{was} to {body}"
        note(sql, who=by, what=f"{what} in force", subject=name, detail=detail, now=now)
    return changed


def spelled(rule: BudgetRule | FanOutRule) -> str:
    """A rule as it is kept: the same rule, the same text."""
    return canonical(rule.model_dump(mode="json", exclude_defaults=True))
