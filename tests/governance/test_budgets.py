"""What may budgets.yaml say, and which budgets does a call draw on?"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.budgets import BudgetRule
from governance.charges import Amounts
from governance.draws import SLICES, Drawing, begins, draws, period
from governance.effects import Principal
from governance.parts import PICO
from tests.governance.registry_texts import LOOP, ORG, examined, said

MAKER = Principal("night-fix", "noor@northwind.example", "platform", "fixer", "maker")
CALL = Drawing("r1", MAKER, "model", "claude-opus-4-8")
MOST = Amounts(usd=7, tokens=9, steps=1, calls=1, concurrent=1)
HEAD = "budgets:\n"


def rule(**told: object) -> BudgetRule:
    return BudgetRule.model_validate({"name": "a", "usd": 5, "per": "day", **told})


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "line", "field", "why"),
    [
        ("  - {name: a, usd: -5, per: day}", 2, "budgets[0].usd", "too small"),
        ("  - {name: a, usd: 0, per: day}", 2, "budgets[0].usd", "must be more than 0"),
        ("  - {name: a, tokens: 0, per: day}", 2, "budgets[0].tokens", "must be more than 0"),
        ("  - {name: a, per: day}", 2, "budgets[0]", "limits none: give exactly one of usd, tokens"),
        ("  - {name: a, usd: 5, calls: 3, per: day}", 2, "budgets[0]", "limits usd and calls"),
        ("  - {name: a, usd: 5}", 2, "budgets[0]", "says no stretch of time"),
        ("  - {name: a, usd: 5, per: week}", 2, "budgets[0].per", "is not a stretch of time"),
        ("  - {name: a, usd: 5, per: 90d}", 2, "budgets[0].per", "from '10s' to '31d'"),
        ("  - {name: a, concurrent: 5, per: day}", 2, "budgets[0]", "leave 'per' out"),
        ("  - {name: a, usd: 5, per: 60s, timezone: UTC}", 2, "budgets[0]", "this rule has neither"),
        ("  - {name: a, calls: 5, per: day, margin: 0.1}", 2, "budgets[0]", "does not count usd"),
        ("  - {name: a, usd: 5, per: day, share: [0]}", 2, "budgets[0].share[0]", "must be more than 0"),
        ("  - {name: a, usd: 5, per: day, share: [1.5]}", 2, "budgets[0].share[0]", "at most 1"),
        ("  - {name: a, usd: 5, per: day, share: [0.125]}", 2, "budgets[0].share[0]", "decimal"),
        ("  - {name: a, concurrent: 5, share: [0.5]}", 2, "budgets[0]", "leave 'share' out"),
        ("  - {name: a, calls: 5, per: 60s, share: [0.5]}", 2, "budgets[0]", "leave 'share' out"),
        ("  - {name: a, usd: 5, per: run, when_full: wait}", 2, "budgets[0]", "no other window follows a run"),
        ("  - {name: a, concurrent: 5, when_full: stop}", 2, "budgets[0]", "leave 'when_full' out"),
        ("  - {name: a, runs: 5, per: day, when_full: wait}", 2, "budgets[0]", "waits for nobody"),
        ("  - {name: a, usd: 5, per: day, when_full: later}", 2, "budgets[0].when_full", "'wait' or 'stop'"),
        ("  - {name: a, runs: 5, per: day, agent: lead}", 2, "budgets[0]", "a run belongs to a loop"),
        ("  - {name: a, usd: 5, per: day, model: x*, tool: y.*}", 2, "budgets[0]", "leave 'model' or"),
        ("  - {name: a, usd: 5, per: day, loop: fixx}", 2, "budgets[0].loop", "did you mean 'fix'?"),
        ("  - {name: a, usd: 5, per: day, team: nobody}", 2, "budgets[0].team", "is not there"),
        ("  - {name: a, usd: 5, per: day, loop: 'z*'}", 2, "budgets[0]", "would never take effect"),
        ("  - {name: a, usd: 5, per: day, lop: fix}", 2, "budgets[0].lop", "did you mean 'loop'?"),
        (
            "  - {name: a, usd: 5, per: day}\n  - {name: a, usd: 5, per: month}",
            3, "budgets[1].name", "is the name of rule 1 too",
        ),
        (
            "  - {name: a, usd: 5, per: day}\n  - {name: b, usd: 9, per: day}",
            3, "budgets[1]", "limits what rule 'a' limits",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused_with_file_line_field_and_way_out(
    written: str, line: int, field: str, why: str
) -> None:
    (problem,) = said(examined(budgets=HEAD + written))
    assert problem.startswith(f"registry/budgets.yaml:{line}: {field}: ")
    assert why in problem


def test_every_problem_of_every_rule_is_told_at_once() -> None:
    written = "  - {name: a, usd: -5, per: day}\n  - {name: b, tokens: 0, per: day}\n  - {usd: 5, per: day}"
    found = examined(budgets=HEAD + written).problems
    assert [p.line for p in found] == [2, 3, 4]


def test_usd_is_refused_where_a_model_has_no_price() -> None:
    problems = said(examined(priced=False, budgets=HEAD + "  - {name: a, usd: 5, per: day}"))
    assert any("has no price, and this rule counts USD" in p for p in problems)


def test_every_rule_that_matches_is_drawn_on_and_no_other() -> None:
    rules = [
        rule(name="all"), rule(name="team", team="platform", each=["loop"]), rule(name="other", team="support"),
        rule(name="opus", usd=None, tokens=3, model="claude-opus-*", per="60s"), rule(name="tools", tool="github.*"),
        rule(name="once", usd=None, concurrent=2, per=None), rule(name="runs", usd=None, runs=2),
    ]  # fmt: skip
    found = {c.budget: c.amount for c in draws(rules, CALL, MOST, at(2026, 11, 26))}
    assert found == {
        "rule:all/all:usd": 7, "rule:team/night-fix:usd": 7, "rule:opus/all:tokens": 9, "rule:once/all:concurrent": 1,
    }  # fmt: skip
    assert [c.budget for c in begins(rules, "r1", MAKER, 0)] == ["rule:runs/all:runs"]


def test_a_budget_for_each_model_is_drawn_on_by_calls_of_models_alone() -> None:
    rules = [rule(each=["model"]), rule(name="b", usd=None, calls=3, each=["loop", "model"])]
    assert [c.budget for c in draws(rules, CALL, MOST, 0)] == [
        "rule:a/claude-opus-4-8:usd", "rule:b/night-fix+claude-opus-4-8:calls",
    ]  # fmt: skip
    for kind, name in (("tool", "github.merge"), ("sandbox", "verify")):
        assert draws(rules, replace(CALL, kind=kind, name=name), MOST, 0) == ()


def test_a_tool_call_draws_on_calls_and_on_no_tokens() -> None:
    rules = [rule(usd=None, calls=3), rule(name="b", usd=None, tokens=3)]
    call = replace(CALL, kind="tool", name="github.merge")
    assert [c.unit for c in draws(rules, call, Amounts(calls=1, concurrent=1), 0)] == ["calls"]


def test_the_margin_is_never_spent() -> None:
    assert rule(margin=Decimal("0.25")).cap == 4 * PICO
    assert rule().cap == 5 * PICO


@pytest.mark.parametrize(
    ("zone", "now", "day", "end"),
    [
        ("Europe/Berlin", at(2026, 10, 24, 22, 30), "2026-10-25", at(2026, 10, 25, 23)),
        ("Europe/Berlin", at(2026, 3, 28, 23), "2026-03-29", at(2026, 3, 29, 22)),
        ("America/Sao_Paulo", at(2026, 11, 1, 2, 59), "2026-10-31", at(2026, 11, 1, 3)),
    ],
)
def test_a_day_is_the_zones_day_also_where_clocks_are_set(
    zone: str, now: int, day: str, end: int
) -> None:
    daily = rule(timezone=zone)
    assert period(daily, "r1", now) == (day, None)
    assert period(daily, "r1", end - 1)[0] == day
    assert period(daily, "r1", end)[0] > day
    assert period(rule(timezone=zone, per="month"), "r1", now)[0] == day[:7]


@given(st.integers(0, 10**13), st.sampled_from(["10s", "90s", "15m", "24h", "31d"]), st.data())
def test_a_rolling_window_looks_at_no_less_than_its_length(
    now: int, per: str, pick: st.DataObject
) -> None:
    rolling = rule(per=per)
    assert rolling.rolls is not None
    length = int(rolling.rolls.total_seconds() * 1000)
    earlier = max(0, now - pick.draw(st.integers(0, length)))
    window, since = period(rolling, "r1", now)
    assert since is not None
    if now >= 2 * length:
        assert since <= period(rolling, "r1", earlier)[0] <= window
        assert period(rolling, "r1", now - length - 2 * length // SLICES)[0] < since


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        ({"per": "15m"}, True), ({"per": "15m", "when_full": "stop"}, False), ({"per": "day"}, False),
        ({"per": "month"}, False), ({"per": "day", "when_full": "wait"}, True), ({"per": "run"}, False),
    ],
)  # fmt: skip
def test_what_rolls_is_waited_for_and_a_day_or_month_only_where_the_rule_says_so(
    told: dict[str, str], waits: bool
) -> None:
    assert rule(**told).waits == waits


RATE = "sandbox:\n  - {starts: 2020-01-01, vcpu_second_usd: 0, gib_second_usd: 0}\n"
CAPPED = LOOP.replace(
    "max_tokens_per_run: 1_500_000", "max_tokens_per_run: 9\n  max_cost_usd_per_run: 5"
)
DECLARED = re.sub(r"(read_only: true|external: false)\}", r"\1, price_usd: 0}", ORG)


def warned(rules: str, **changed: str) -> list[str]:
    return [str(w) for w in examined(budgets=HEAD + rules, **changed).warnings]


def test_a_limit_on_usd_that_does_not_see_a_connector_or_a_box_is_a_warning_for_each():
    rules = "  - {name: a, usd: 5, per: day}\n  - {name: b, tokens: 5, per: day}\n"
    about = "registry/budgets.yaml:2: budgets[0].usd: does not count "
    assert warned(rules) == [
        f"{about}calls of 'ci' whose price nobody has declared (list_failures); give each its price_usd in org.yaml, "
        "0 where it costs nothing",
        f"{about}calls of 'github' whose price nobody has declared (add_comment, list_issues, merge_pull_request); give "
        "each its price_usd in org.yaml, 0 where it costs nothing",
        f"{about}commands in a sandbox, since nobody has declared what one costs; say so below sandbox in prices.yaml, "
        "with rates of 0 where it costs nothing",
    ]  # fmt: skip
    of_the_loop = [str(w) for w in examined(loop=CAPPED).warnings]
    assert [w.split(": ")[1] for w in of_the_loop] == ["harness.max_cost_usd_per_run"] * 3


def test_what_is_declared_is_counted_an_explicit_zero_too_and_nothing_is_warned_of():
    rules = "  - {name: a, usd: 5, per: day}\n"
    assert warned(rules, org=DECLARED, loop=CAPPED, prices=RATE) == []
    only = "  - {name: a, usd: 5, per: day, model: son*}\n"
    assert warned(only) == [], "a rule about models alone sees all that it limits"
