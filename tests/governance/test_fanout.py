"""What may budgets.yaml say of fan-outs, what is one expected to cost, and which rules let it go?"""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.alerts import said as alerted
from governance.budgets import FanOutRule
from governance.ceilings import ceilings
from governance.definition import Harness, Loop
from governance.fanout import (
    LEAST_PAST,
    Ceiling,
    Price,
    above,
    kept_back,
    matching,
    price_in_words,
    priced,
    sentence,
)
from governance.organisation import ModelEntry
from governance.parts import PICO
from governance.pinned import Pinned
from governance.prices import Book
from tests.governance.registry_texts import examined, said

HEAD = "fan_outs:\n"
NOW = 1_790_000_000_000
costs = st.lists(st.integers(0, 10**15), min_size=LEAST_PAST, max_size=50)
limits = st.lists(
    st.builds(Ceiling, st.just("harness.x"), st.integers(1, 10**15), st.booleans()), max_size=4
)
prices = st.builds(priced, st.integers(1, 1000), costs | st.just(list[int]()), limits)


def rule(name: str = "a", **told: object) -> FanOutRule:
    return FanOutRule.model_validate({"name": name, **({"usd": 5} | told)})


@pytest.mark.parametrize(
    ("written", "line", "field", "why"),
    [
        ("  - {name: a, usd: -5}", 2, "fan_outs[0].usd", "too small"),
        ("  - {name: a, usd: 0}", 2, "fan_outs[0].usd", "must be more than 0"),
        ("  - {name: a, items: 0}", 2, "fan_outs[0].items", "must be more than 0"),
        ("  - {name: a}", 2, "fan_outs[0]", "limits none: give exactly one of usd, items"),
        ("  - {name: a, usd: 5, items: 3}", 2, "fan_outs[0]", "limits usd and items"),
        ("  - {name: a, usd: 5, per: day}", 2, "fan_outs[0].per", "is not a field"),
        ("  - {name: a, usd: 5, loop: fixx}", 2, "fan_outs[0].loop", "did you mean 'fix'?"),
        ("  - {name: a, usd: 5, team: nobody}", 2, "fan_outs[0].team", "is not there"),
        ("  - {name: a, usd: 5, loop: 'z*'}", 2, "fan_outs[0]", "would never take effect"),
        (
            "  - {name: a, usd: 5}\n  - {name: a, items: 5}",
            3, "fan_outs[1].name", "is the name of rule 1 too",
        ),
        (
            "  - {name: a, usd: 5}\n  - {name: b, usd: 9}",
            3, "fan_outs[1]", "limits what rule 'a' limits: the same loops and unit",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused_with_file_line_field_and_way_out(
    written: str, line: int, field: str, why: str
) -> None:
    (problem,) = said(examined(budgets=HEAD + written))
    assert problem.startswith(f"registry/budgets.yaml:{line}: {field}: ")
    assert why in problem


def test_usd_is_refused_where_a_model_has_no_price_and_items_are_not() -> None:
    problems = said(examined(priced=False, budgets=HEAD + "  - {name: a, usd: 5}"))
    assert any("this rule counts USD; price it, or narrow the rule, or count items" in p for p in problems)  # fmt: skip
    counted = said(examined(priced=False, budgets=HEAD + "  - {name: a, items: 5}"))
    assert not any("budgets.yaml" in p for p in counted)


def test_rules_about_fan_outs_stand_beside_those_about_spending() -> None:
    found = examined(
        budgets="budgets: [{name: a, usd: 5, per: day}]\nfan_outs: [{name: a, usd: 5}]\n"
    )
    assert found.registry is not None
    assert [r.name for r in found.registry.budgets] == ["a"]
    assert [r.limit for r in found.registry.fan_outs] == [5 * PICO]


@given(st.integers(1, 1000), costs, limits)
def test_with_a_past_it_is_as_many_means_of_it_never_less_and_by_less_than_one_pico_each(
    items: int, past: list[int], ceilings: list[Ceiling]
) -> None:
    price = priced(items, past, ceilings)
    exact = Fraction(sum(past) * items, len(past))
    assert price.usd is not None
    assert exact <= price.usd < exact + items
    assert (price.past, price.ceiling) == (len(past), None)


@given(st.integers(1, 1000), st.lists(st.integers(0, 10**15), max_size=LEAST_PAST - 1), limits)
def test_without_one_it_is_the_least_that_a_limit_lets_it_cost_and_nobody_can_say_without_a_limit(
    items: int, past: list[int], ceilings: list[Ceiling]
) -> None:
    price = priced(items, past, ceilings)
    assert (price.usd is None) == (not ceilings)
    if price.usd is not None:
        assert price.usd == min(c.usd * items if c.each else c.usd for c in ceilings)
        assert price.usd > 0, "unknown is never zero"


@given(st.integers(1, 999), costs)
def test_one_item_more_never_costs_less(items: int, past: list[int]) -> None:
    fewer, more = priced(items, past, ()), priced(items + 1, past, ())
    assert fewer.usd is not None
    assert more.usd is not None
    assert more.usd - fewer.usd == fewer.each


@given(
    prices, st.lists(st.integers(1, 1000), max_size=5), st.lists(st.integers(1, 900), max_size=5)
)
def test_it_goes_when_every_rule_lets_it_and_each_that_does_not_is_named(
    price: Price, usd: list[int], items: list[int]
) -> None:
    rules = [rule(f"u{n}", usd=limit) for n, limit in enumerate(usd)]
    rules += [rule(f"i{n}", usd=None, items=limit) for n, limit in enumerate(items)]
    broken = {
        r.name
        for r in rules
        if (
            price.items > r.limit if r.unit == "items" else price.usd is None or price.usd > r.limit
        )
    }
    excess = above(rules, price)
    assert {e.rule for e in excess} == broken
    told = sentence(price, rules, excess)
    assert all(f"rule {name!r}" in told for name in broken)
    assert ("above" in told) == bool(broken)


def test_a_rule_is_about_the_loops_that_it_names() -> None:
    rules = [
        rule(), rule("team", team="plat*"), rule("user", user="noor@*"), rule("loop", loop="night-fix"),
        rule("other", team="support"), rule("nobody", user="ines@*"), rule("else", loop="t*"),
    ]  # fmt: skip
    found = matching(rules, loop="night-fix", owner="noor@northwind.example", team="platform")
    assert [r.name for r in found] == ["a", "team", "user", "loop"]


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (
            priced(12, [42 * PICO // 100] * 50, ()),
            "12 items × 0.4200 USD expected (mean of the last 50 items) = 5.0400 USD",
        ),
        (
            priced(1, [], (Ceiling("harness.max_steps", PICO, each=True),)),
            "1 item × at most 1.0000 USD (harness.max_steps; no item of its past, 5 are needed) = 1.0000 USD",
        ),
        (
            priced(3, [1], (Ceiling("harness.max_cost_usd_per_run", 20 * PICO),)),
            "3 items for at most 20.0000 USD (harness.max_cost_usd_per_run; 1 item of its past, 5 are needed)",
        ),
        (
            priced(3, [1, 1], ()),
            "3 items of a cost that nobody can say (2 items of its past, 5 are needed, and no limit has a price)",
        ),
    ],
)  # fmt: skip
def test_a_price_says_on_what_it_rests(price: Price, words: str) -> None:
    assert price_in_words(price) == words


def test_what_it_was_weighed_against_is_said_whether_it_goes_or_not() -> None:
    price = priced(12, [42 * PICO // 100] * 50, ())
    rules = (rule("wide", usd=25), rule("near", usd=9), rule("few", usd=None, items=20))
    assert sentence(price, rules, ()).endswith(
        "= 5.0400 USD, of 9 USD (rule 'near') and 20 items (rule 'few') allowed"
    )
    tight = (rule("a", usd="2.5"), rule("b", usd=None, items=3))
    told = sentence(price, tight, above(tight, price))
    assert told.endswith("= 5.0400 USD, above the 2.5 USD of rule 'a' and the 3 items of rule 'b'")
    why = kept_back(told, "r1")
    for way_out in ("fanout allow r1", "fanout discard r1", "registry/budgets.yaml"):
        assert way_out in why


def test_people_are_told_the_price_and_the_way_out() -> None:
    told = alerted({
        "kind": "fan_out", "run": "r9", "loop": "night-fix", "items": 12, "usd": 5 * PICO, "at": 0,
        "told": "12 items \u202e",
    })  # fmt: skip
    assert told is not None
    assert told[0] == "night-fix: a fan-out of 12 is kept back until you let it go"
    assert "12 items \\u{202e} (1970-01-01" in told[1]
    assert "`loops fanout allow r9`" in told[1]


def pinned(*models: str, **harness: object) -> Pinned:
    loop = Loop(
        name="a", model=models[0], instructions="a@v1", harness=Harness.model_validate(harness)
    )
    entries = {m: ModelEntry(provider="p", model=m, context_tokens=200_000) for m in models}
    return Pinned(loop=loop, instructions={}, skills={}, models=entries, image=None)


def test_each_limit_bounds_it_by_the_dearest_call_that_any_of_its_models_may_make() -> None:
    told = pinned(
        "claude-sonnet-4-6", "claude-opus-4-8", max_steps=10, max_steps_per_run=30,
        max_tokens_per_run=1_000_000, max_cost_usd_per_run=Decimal(7), max_output_tokens=1000,
    )  # fmt: skip
    book = Book()
    dearest = max(
        book.worst_case(200_000, 1000, model, NOW) or 0
        for model in ("claude-sonnet-4-6", "claude-opus-4-8")
    )
    found = {c.limit: (c.usd, c.each) for c in ceilings(told, book, NOW)}
    assert found["harness.max_cost_usd_per_run"] == (7 * PICO, False)
    assert found["harness.max_steps"] == (10 * dearest, True)
    assert found["harness.max_steps_per_run"] == (30 * dearest, False)
    opus = book.price_of("claude-opus-4-8", NOW)
    assert opus is not None
    assert found["harness.max_tokens_per_run"] == (int(opus.output * PICO), False)


@given(st.integers(0, 200_000), st.integers(0, 1000))
def test_no_call_costs_more_than_the_ceilings_of_its_steps_and_its_tokens_say(
    asked: int, answered: int
) -> None:
    tokens = max(1, asked + answered)
    told = pinned(
        "claude-sonnet-4-6", max_steps=1, max_tokens_per_run=tokens, max_output_tokens=1000
    )
    found = {c.limit: c.usd for c in ceilings(told, Book(), NOW)}
    call = Book().worst_case(asked, answered, "claude-sonnet-4-6", NOW)
    assert call is not None
    assert call <= found["harness.max_steps"]
    assert call <= found["harness.max_tokens_per_run"]


def test_where_a_model_has_no_price_only_a_limit_in_usd_says_anything() -> None:
    assert ceilings(pinned("claude-sonnet-4-6", "of-nobody"), Book(), NOW) == ()
    (only,) = ceilings(pinned("of-nobody", max_cost_usd_per_run=Decimal(7)), Book(), NOW)
    assert (only.limit, only.usd) == ("harness.max_cost_usd_per_run", 7 * PICO)
