"""What would change about spending, and what then limits which loop?"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from cli.words import columns, one_line, stamp
from governance.budgets import BudgetRule, FanOutRule
from governance.caps import fans_out, limits
from governance.fanout import FanOutRuleInForce
from governance.parts import Json, usd
from governance.records import RuleInForce
from governance.registry import Registry
from governance.undeclared import by_rule

Change = Literal["install", "update", "remove", "none"]
AnyRule = BudgetRule | FanOutRule


@dataclass(frozen=True)
class PlannedRule:
    """What happens to one rule, field by field as it is written, and who put it there before."""

    rule: str
    change: Change
    fields: tuple[str, ...] = ()
    since: int | None = None
    by: str | None = None

    def as_json(self) -> Json:
        """For `--json` outputs."""
        return {**vars(self), "fields": list(self.fields), "since": stamp(self.since)}


def plan_rules(
    wanted: Sequence[AnyRule], in_force: Sequence[RuleInForce | FanOutRuleInForce]
) -> tuple[PlannedRule, ...]:
    """What is to be done about each rule, by name."""
    old = {found.rule.name: found for found in in_force}
    new = {rule.name: rule for rule in wanted}
    return tuple(
        _planned(name, new.get(name), old.get(name)) for name in sorted(old.keys() | new.keys())
    )


def _planned(
    name: str, new: AnyRule | None, old: RuleInForce | FanOutRuleInForce | None
) -> PlannedRule:
    if old is None:
        assert new is not None
        return PlannedRule(name, "install", tuple(f"{k}: {v}" for k, v in _written(new).items()))
    if new is None:
        return PlannedRule(name, "remove", (), old.since, old.by)
    before, after = _written(old.rule), _written(new)
    fields = tuple(
        f"{k}: {before.get(k, 'not set')} becomes {after.get(k, 'not set')}"
        for k in sorted(before.keys() | after.keys())
        if before.get(k) != after.get(k)
    )
    return PlannedRule(name, "update" if fields else "none", fields, old.since, old.by)


def _written(rule: AnyRule) -> dict[str, Any]:
    fields = rule.model_dump(mode="json", exclude_defaults=True)
    return {k: v for k, v in fields.items() if k != "name"}


@dataclass(frozen=True)
class Effective:
    """One limit as one loop meets it."""

    loop: str
    rule: str
    whose: str
    unit: str
    limit: str
    """As declared; `cap` is what is left of it after the margin."""
    cap: str
    per: str
    when_full: str
    """What becomes of an item that meets its end."""
    by: str | None
    """Who put it in force; None for a rule that is not yet."""
    since: int | None
    uncounted: tuple[str, ...] = ()
    """Connectors, and `sandbox`, whose calls a limit on USD does not count: nobody has declared all their prices."""

    def as_json(self) -> Json:
        """For `--json` outputs."""
        return {**vars(self), "since": stamp(self.since), "uncounted": list(self.uncounted)}


def effective(
    registry: Registry, in_force: Sequence[RuleInForce], fan_outs: Sequence[FanOutRuleInForce]
) -> tuple[Effective, ...]:
    """Every limit on every loop once the registry's rules are in force, by loop."""
    old = {found.rule.name: found for found in in_force}
    old_of_fan_outs = {found.rule.name: found for found in fan_outs}
    found: list[Effective] = []
    for loop in sorted(registry.loops.values(), key=lambda one: one.name):
        for rule in registry.budgets:
            if limits(rule, loop, registry.organisation):
                kept = _kept(rule, old.get(rule.name))
                boxes = bool(registry.prices.sandbox)
                unseen = by_rule(rule, loop, registry.organisation, boxes=boxes)
                found.append(
                    Effective(
                        loop.name, rule.name, _whose(rule), rule.unit, _amount(rule, rule.limit),
                        _amount(rule, rule.cap), _per(rule), _when_full(rule), *kept, tuple(unseen),
                    )
                )  # fmt: skip
        for rule in registry.fan_outs:
            if fans_out(rule, loop):
                limit = _amount(rule, rule.limit)
                kept = _kept(rule, old_of_fan_outs.get(rule.name))
                found.append(
                    Effective(
                        loop.name, rule.name, _whose(rule), rule.unit, limit, limit, "fan-out",
                        "all is kept back", *kept,
                    )
                )  # fmt: skip
    return tuple(found)


def _kept(
    rule: AnyRule, was: RuleInForce | FanOutRuleInForce | None
) -> tuple[str | None, int | None]:
    """Who put it in force as it is, and when."""
    return (was.by, was.since) if was is not None and was.rule == rule else (None, None)


def table(found: Sequence[Effective]) -> str:
    """The limits for people."""
    head = ("LOOP", "RULE", "ON", "AT MOST", "PER", "WHEN FULL", "SET BY")
    lines = [
        (
            e.loop, e.rule, one_line(e.whose), f"{e.cap} {e.unit}" + (f" (of {e.limit})" if e.cap != e.limit else ""),
            e.per, e.when_full, one_line(e.by) if e.by else "not in force yet",
        )
        for e in found
    ]  # fmt: skip
    return "\n".join((columns((head, *lines)), *_blind(found)))


def _blind(found: Sequence[Effective]) -> list[str]:
    """What the limits above do not see, a line for each rule."""
    by: dict[str, set[str]] = {}
    for one in found:
        by.setdefault(one.rule, set()).update(one.uncounted)
    return [
        f"Not counted by {rule}, since nobody has declared what it costs: {', '.join(sorted(names))}. See `loops check`."
        for rule, names in by.items()
        if names
    ]


def _whose(rule: AnyRule) -> str:
    on = [
        f"{k} {v}"
        for k in ("team", "user", "loop", "agent", "model", "tool")
        if (v := getattr(rule, k, "*")) != "*"
    ]
    if isinstance(rule, FanOutRule):
        return ", ".join(on) or "each loop"
    each = f"each {' and '.join(rule.each)}" if rule.each else ""
    return ", ".join(filter(None, (each, *on))) or "everybody together"


def _per(rule: BudgetRule) -> str:
    zone = f" ({rule.timezone})" if rule.per in ("day", "month") else ""
    return f"{rule.per}{zone}" if rule.per else "at one moment"


def _when_full(rule: BudgetRule) -> str:
    if rule.unit == "runs":
        return "no run begins"
    return "an item waits" if rule.waits or rule.unit == "concurrent" else "an item stops"


def _amount(rule: AnyRule, value: int) -> str:
    if rule.unit != "usd":
        return f"{value:,}"
    return f"{usd(value).quantize(Decimal('0.000001')).normalize():,f}"
