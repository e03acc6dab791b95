"""Which rules about spending limit which loop, and which would never take effect?"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from governance.budgets import BudgetRule, FanOutRule
from governance.definition import Grants, Loop
from governance.draws import Drawing, counts, matches
from governance.effects import Principal
from governance.fanout import covers
from governance.organisation import Organisation
from governance.policy import granted
from governance.problems import Path, suggest

_WILD = frozenset("*?")


def limits(rule: BudgetRule, loop: Loop, organisation: Organisation) -> bool:
    """Does anything the loop may do draw on it?"""
    return counts(rule, _principal(loop, "loop")) or any(
        matches(rule, drawing) for drawing in drawings(loop, organisation)
    )


def drawings(loop: Loop, organisation: Organisation) -> Iterator[Drawing]:
    """Every kind of call that an agent of the loop may make, or the loop itself."""
    agents = [("lead", loop.model, loop.mcp_servers), ("loop", None, loop.mcp_servers)]
    agents += [(a.name, a.model or loop.model, a.mcp_servers) for a in loop.subagents]
    for agent, model, grants in agents:
        by = _principal(loop, agent)
        if model is not None:
            yield Drawing("", by, "model", model)
        for tool in _tools(grants, organisation):
            yield Drawing("", by, "tool", tool)
    if loop.goal is not None:
        yield Drawing("", _principal(loop, "verifier"), "sandbox", "verify")


def unfit_rules(
    rules: Sequence[BudgetRule], loops: Sequence[Loop], organisation: Organisation,
    priced: Callable[[str], bool],
) -> Iterator[tuple[Path, str]]:  # fmt: skip
    """Every rule that contradicts another, would never take effect, or counts USD where there is no price."""
    yield from _twice(rules, "budgets", "callers, unit and time")
    for n, rule in enumerate(rules):
        any_of = any(limits(rule, loop, organisation) for loop in loops)
        idle = None if any_of else "limits no agent of any loop"
        unpriced = _unpriced(rule, loops, organisation, priced)
        unknown = _unknown(rule, loops, organisation)
        yield from _of_one(("budgets", n), rule, unknown, idle, unpriced)


def unfit_fan_outs(
    rules: Sequence[FanOutRule], loops: Sequence[Loop], organisation: Organisation,
    priced: Callable[[str], bool],
) -> Iterator[tuple[Path, str]]:  # fmt: skip
    """The same of the rules about fan-outs."""
    yield from _twice(rules, "fan_outs", "loops and unit")
    for n, rule in enumerate(rules):
        about = [loop for loop in loops if fans_out(rule, loop)]
        models = {
            d.name for loop in about for d in drawings(loop, organisation) if d.kind == "model"
        }
        said = _without_price(models, organisation, priced)
        idle = None if about else "is about no loop"
        unpriced = (f"{one}, or count items" for one in said)
        unknown = _unknown(rule, loops, organisation)
        yield from _of_one(("fan_outs", n), rule, unknown, idle, unpriced)


def fans_out(rule: FanOutRule, loop: Loop) -> bool:
    """Must what the loop hands out stay within the rule?"""
    return covers(rule, loop=loop.name, owner=loop.owner, team=loop.team)


def _of_one(
    at: Path, rule: BudgetRule | FanOutRule, unknown: Iterable[tuple[str, str]], idle: str | None,
    unpriced: Iterable[str],
) -> Iterator[tuple[Path, str]]:  # fmt: skip
    """What is wrong with one rule. `idle` says why nobody meets it: no news where a name in it is wrong."""
    misnamed = tuple(unknown)
    yield from (((*at, field), said) for field, said in misnamed)
    if idle and not misnamed:
        yield at, f"{idle}, so it would never take effect"
    if rule.unit == "usd":
        yield from (((*at, "usd"), said) for said in unpriced)


def _twice(
    rules: Sequence[BudgetRule] | Sequence[FanOutRule], under: str, same: str
) -> Iterator[tuple[Path, str]]:
    names: dict[str, int] = {}
    scopes: dict[tuple[object, ...], str] = {}
    for n, rule in enumerate(rules):
        if rule.name in names:
            told = f"{rule.name!r} is the name of rule {names[rule.name] + 1:,} too; rename one"
            yield (under, n, "name"), told
        elif rule.scope in scopes:
            told = f"limits what rule {scopes[rule.scope]!r} limits: the same {same}. Keep one"
            yield (under, n), told
        names.setdefault(rule.name, n)
        scopes.setdefault(rule.scope, rule.name)


def _unknown(
    rule: BudgetRule | FanOutRule, loops: Sequence[Loop], organisation: Organisation
) -> Iterator[tuple[str, str]]:
    tools = {f"{c}.{t}" for c, entry in organisation.connectors.items() for t in entry.tools}
    agents = {a.name for loop in loops for a in loop.subagents} | {"lead", "loop", "verifier"}
    known = {
        "team": set(organisation.teams), "user": {loop.owner for loop in loops},
        "loop": {loop.name for loop in loops}, "agent": agents, "model": set(organisation.models),
        "tool": tools,
    }  # fmt: skip
    for field, names in known.items():
        wanted = str(getattr(rule, field, "*"))
        if not _WILD & set(wanted) and wanted not in names:
            yield field, f"{field} {wanted!r} is not there" + suggest(wanted, names)


def _unpriced(
    rule: BudgetRule,
    loops: Sequence[Loop],
    organisation: Organisation,
    priced: Callable[[str], bool],
) -> Iterator[str]:
    models = {
        d.name for loop in loops for d in drawings(loop, organisation)
        if d.kind == "model" and matches(rule, d)
    }  # fmt: skip
    yield from _without_price(models, organisation, priced)


def _without_price(
    models: Iterable[str], organisation: Organisation, priced: Callable[[str], bool]
) -> Iterator[str]:
    for name in sorted(models):
        entry = organisation.models.get(name)
        if entry is not None and not priced(entry.model):
            yield f"model {name!r} has no price, and this rule counts USD; price it, or narrow the rule"


def _tools(grants: Grants, organisation: Organisation) -> Iterator[str]:
    for connector, entry in organisation.connectors.items():
        for tool in entry.tools:
            if granted(grants, connector, tool):
                yield f"{connector}.{tool}"


def _principal(loop: Loop, agent: str) -> Principal:
    return Principal(loop.name, loop.owner, loop.team, agent, agent)
