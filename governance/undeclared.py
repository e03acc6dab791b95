"""Which calls does a limit on USD not count, because nobody has said what they cost?

A tool without `price_usd` and a box without a rate are no mistake, and they run: their rows say `undeclared`. But whoever
sets a limit must hear that it does not see them.
"""

from collections.abc import Callable, Iterator, Sequence

from governance.budgets import BudgetRule
from governance.caps import drawings
from governance.definition import Loop
from governance.draws import Drawing, matches
from governance.organisation import Organisation
from governance.problems import Path

SANDBOX = "sandbox"
"""What commands in a box are called beside the connectors."""
_NAMED = 3

Uncounted = dict[str, tuple[str, ...]]
"""Tools without a declared price by their connector, both by name; for `SANDBOX` what runs in one."""


def uncounted(
    loop: Loop, organisation: Organisation, *, boxes: bool,
    counts: Callable[[Drawing], bool] = lambda drawing: True,
) -> Uncounted:  # fmt: skip
    """What the loop may call for a price that nobody has declared; `boxes`: a sandbox has a rate.

    Asked only of calls that `counts` is true of.
    """
    found: dict[str, set[str]] = {}
    for drawing in drawings(loop, organisation):
        if not counts(drawing):
            continue
        if drawing.kind == "tool" and organisation.price_of(drawing.name) is None:
            connector, _, tool = drawing.name.partition(".")
            found.setdefault(connector, set()).add(tool)
        elif drawing.kind == "sandbox" and not boxes:
            found.setdefault(SANDBOX, set()).add(drawing.name)
    return {whose: tuple(sorted(found[whose])) for whose in sorted(found)}


def by_rule(rule: BudgetRule, loop: Loop, organisation: Organisation, *, boxes: bool) -> Uncounted:
    """What of a loop a rule about USD would limit and does not count."""
    if rule.unit != "usd":
        return {}
    return uncounted(loop, organisation, boxes=boxes, counts=lambda drawing: matches(rule, drawing))


def unseen_by_rules(
    rules: Sequence[BudgetRule], loops: Sequence[Loop], organisation: Organisation, *, boxes: bool
) -> Iterator[tuple[Path, str]]:
    """A warning for each rule about USD and each connector that it does not count in full."""
    for n, rule in enumerate(rules):
        all_of: dict[str, set[str]] = {}
        for loop in loops:
            for whose, tools in by_rule(rule, loop, organisation, boxes=boxes).items():
                all_of.setdefault(whose, set()).update(tools)
        for whose in sorted(all_of):
            yield ("budgets", n, "usd"), _said(whose, sorted(all_of[whose]))


def unseen_by_loop(
    loop: Loop, organisation: Organisation, *, boxes: bool
) -> Iterator[tuple[Path, str]]:
    """The same for a loop's own cap."""
    if loop.harness.max_cost_usd_per_run:
        for whose, tools in uncounted(loop, organisation, boxes=boxes).items():
            yield ("harness", "max_cost_usd_per_run"), _said(whose, tools)


def _said(whose: str, tools: Sequence[str]) -> str:
    if whose == SANDBOX:
        return (
            "does not count commands in a sandbox, since nobody has declared what one costs; say so below sandbox in "
            "prices.yaml, with rates of 0 where it costs nothing"
        )
    more = f" and {len(tools) - _NAMED:,} more" if len(tools) > _NAMED else ""
    return (
        f"does not count calls of {whose!r} whose price nobody has declared ({', '.join(tools[:_NAMED])}{more}); give "
        "each its price_usd in org.yaml, 0 where it costs nothing"
    )
