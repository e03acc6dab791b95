"""What we pay is by the contract of the day; a contract that says two things, or nothing, is refused."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.conversation import Usage
from governance.examination import examine
from governance.parts import PICO
from governance.prices import Book, BoxTime, Contract, box_cost, cost, price_of, price_per_call
from governance.prices.people import peoples_time
from governance.registry import Examined, Texts
from tests.governance.registry_texts import FILES, LOOP, said

SONNET = "claude-sonnet-4-6"
OWN = "input_usd: 2, output_usd: 9, cache_read_usd: 0, cache_write_5m_usd: 3, cache_write_1h_usd: 5"


def moment(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def examined(text: str, *, listed: bool = True, loop: str = LOOP) -> Examined:
    files = FILES | {"prices.yaml": text, "loops/fix.yaml": loop}
    return examine(Texts(files), priced=lambda _: listed)


def contract(text: str) -> Contract:
    found = examined(text)
    assert said(found) == []
    assert found.registry is not None
    return found.registry.prices


def terms(*lines: str) -> str:
    return "models:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


USAGE = Usage(1_000_000, 1_000_000, 100_000, 100_000, 100_000)


def test_a_discount_comes_off_every_meter_from_its_day_to_its_end():
    book = Book(
        contract(terms(f"model: {SONNET}, starts: 2026-10-01, ends: 2026-11-01, discount: 0.15"))
    )
    listed = cost(USAGE, SONNET, moment("2026-10-15"))
    assert listed is not None
    for at, share in (
        ("2026-09-30T23:59:59.999", "1"), ("2026-10-01", "0.85"),
        ("2026-10-31T23:59:59.999", "0.85"), ("2026-11-01", "1"),
    ):  # fmt: skip
        rated = book.rate(USAGE, SONNET, moment(at))
        assert (rated.cost, rated.list_cost) == (listed * Decimal(share), listed), at
        assert rated.status == "priced"


def test_prices_of_its_own_stand_beside_the_list_price_on_the_row():
    book = Book(contract(terms(f"model: {SONNET}, starts: 2026-10-01, {OWN}")))
    rated = book.rate(USAGE, SONNET, moment("2026-11-01"))
    due = Decimal("0.7") * 2 + 9 + Decimal("0.1") * (0 + 3 + 5)
    assert rated.cost == due * PICO
    assert rated.list_cost == cost(USAGE, SONNET, moment("2026-11-01"))
    listed = price_of(SONNET, moment("2026-11-01"))
    assert listed is not None
    assert rated.price["cache_read"] == "0"
    assert rated.price["price_book"].startswith(f"{listed.price_book}+contract@sha256:")
    assert rated.price["list"] == listed.as_json()


def test_a_model_no_list_knows_has_what_the_contract_says_and_no_list_cost():
    book = Book(contract(terms(f"model: house-model, starts: 2026-10-01, {OWN}")))
    rated = book.rate(USAGE, "house-model", moment("2026-11-01"))
    assert rated.cost is not None
    assert (rated.list_cost, rated.status) == (None, "priced")
    assert book.rate(USAGE, "house-model", moment("2026-09-01")).status == "unpriced"
    assert book.worst_case(1, 1, "house-model", moment("2026-09-01")) is None


def test_free_is_said_and_then_it_is_zero():
    book = Book(contract(terms(f"model: {SONNET}, starts: 2026-10-01, free: true")))
    rated = book.rate(USAGE, SONNET, moment("2026-11-01"))
    assert (rated.cost, rated.status) == (0, "free")
    assert rated.list_cost == cost(USAGE, SONNET, moment("2026-11-01"))


tokens = st.integers(0, 400_000)


@settings(deadline=None)
@given(
    text=st.sampled_from([
        "models: []", terms("model: claude-haiku-5-5, starts: 2026-01-01, discount: 0.333"),
        terms(f"model: claude-haiku-5-5, starts: 2026-01-01, {OWN}"),
        terms("model: claude-haiku-5-5, starts: 2026-01-01, free: true"),
    ]),
    parts=st.tuples(tokens, tokens, tokens, tokens, tokens),
)  # fmt: skip
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case_under_any_contract(
    text: str, parts: tuple[int, int, int, int, int]
):
    plain, output, read, write_5m, write_1h = parts
    usage = Usage(plain + read + write_5m + write_1h, output, read, write_5m, write_1h)
    book, at = Book(contract(text)), moment("2026-11-01")
    most = book.worst_case(usage.input_tokens, output, "claude-haiku-5-5", at)
    rated = book.rate(usage, "claude-haiku-5-5", at)
    assert most is not None
    assert rated.cost is not None
    assert rated.cost <= most


HEAD = f"model: {SONNET}, starts: 2026-10-01"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (terms(f"{HEAD}, discount: -0.1"), ["2: models[0].discount: -0.1 is too small: it must be more than 0"]),
        (terms(f"{HEAD}, discount: 1"), ["2: models[0].discount: 1 is too big: it must be less than 1"]),
        (terms(f"{HEAD}, {OWN.replace('9', '0')}"), ["2: models[0].output_usd: 0 is too small: it must be more than 0"]),
        (terms(f"{HEAD}, {OWN.replace('cache_read_usd: 0', 'cache_read_usd: -1')}"), ["2: models[0].cache_read_usd: -1 is too small: it must be at least 0"]),
        (terms(HEAD), ["2: models[0]: says none of them: give a discount, or all of input_usd, output_usd, cache_read_usd, cache_write_5m_usd, cache_write_1h_usd, or free: true"]),
        (terms(f"{HEAD}, free: true, discount: 0.1"), ["2: models[0]: says discount and free: give a discount, or all of input_usd, output_usd, cache_read_usd, cache_write_5m_usd, cache_write_1h_usd, or free: true"]),
        (terms(f"{HEAD}, input_usd: 1, output_usd: 2"), ["2: models[0]: says nothing about cache_read_usd, cache_write_5m_usd, cache_write_1h_usd: no price is taken from elsewhere; name all five"]),
        (terms(f"{HEAD}, discunt: 0.1"), ["2: models[0].discunt: is not a field of ModelTerms; did you mean 'discount'?"]),
        (terms(f"{HEAD}, ends: 2026-10-01, discount: 0.1"), ["2: models[0]: ends on 2026-10-01 and starts on 2026-10-01: it never holds. 'ends' is the first day it holds no more"]),
        (terms(f"model: {SONNET}, starts: soon, discount: 0.1"), ["2: models[0].starts: 'soon' is not a day, such as 2026-12-01"]),
        (terms(f"model: {SONNET}, discount: 0.1"), ["2: models[0].starts: is missing"]),
        (terms(f"{HEAD}, discount: 0.1", f"model: {SONNET}, starts: 2027-01-01, free: true"), [f"3: models[1]: holds for '{SONNET}' on days that models[0] holds too (from 2026-10-01 on); end one before the other starts"]),
        ("sandbox:\n  - {starts: 2026-01-01, vcpu_second_usd: -1, gib_second_usd: 0}\npeople:\n  - {starts: 2026-01-01, hour_usd: 0, card_seconds: 1}\n", ["2: sandbox[0].vcpu_second_usd: -1 is too small: it must be at least 0", "4: people[0].hour_usd: 0 is too small: it must be more than 0"]),
    ],
)  # fmt: skip
def test_what_is_negative_zero_overlapping_or_contradictory_is_refused_where_it_stands(
    text: str, problems: list[str]
):
    assert said(examined(text)) == [f"registry/prices.yaml:{p}" for p in problems]


def test_entries_that_meet_but_do_not_overlap_are_fine():
    assert contract(
        terms(f"{HEAD}, ends: 2027-01-01, discount: 0.1", f"model: {SONNET}, starts: 2027-01-01, discount: 0.2")
    )  # fmt: skip


def test_a_discount_off_no_list_price_is_refused():
    found = examined(terms("model: house-model, starts: 2026-10-01, discount: 0.1"), listed=False)
    assert said(found) == [
        "registry/prices.yaml:2: models[0].discount: the price list has no price of 'house-model' to take it off; "
        "give prices instead"
    ]


def test_a_model_that_no_loop_can_name_is_a_warning():
    found = examined(terms("model: claude-opus-4-9, starts: 2026-10-01, discount: 0.1"))
    assert said(found) == []
    assert [str(w) for w in found.warnings] == [
        "registry/prices.yaml:2: models[0].model: no model of org.yaml is called 'claude-opus-4-9' by its provider; "
        "did you mean 'claude-opus-4-8'?"
    ]


def test_a_cost_cap_is_content_with_a_price_by_contract():
    capped = LOOP.replace("max_tokens_per_run: 1_500_000", "max_cost_usd_per_run: 5")
    both = terms(
        f"model: sonnet, starts: 2026-10-01, {OWN}",
        f"model: claude-opus-4-8, starts: 2026-10-01, {OWN}",
    )
    assert said(examined(both, listed=False, loop=capped)) == []


def test_a_registry_without_prices_pays_the_list_price():
    found = examine(Texts(FILES), priced=bool)
    assert found.registry is not None
    assert found.registry.prices == Contract()


def test_a_call_of_a_tool_costs_what_its_label_says_and_is_undeclared_without():
    assert price_per_call(None).status == "undeclared"
    assert (price_per_call(None).cost, price_per_call(None).list_cost) == (None, None)
    assert (price_per_call(Decimal(0)).cost, price_per_call(Decimal(0)).status) == (0, "free")
    some = price_per_call(Decimal("0.0125"))
    assert (some.cost, some.status, some.price["per_call"]) == (12_500_000_000, "priced", "0.0125")


def test_a_price_of_a_tool_is_not_negative_and_changes_no_approval():
    org = FILES["org.yaml"].replace(
        "list_issues: {read_only: true}", "list_issues: {read_only: true, price_usd: -1}"
    )
    found = examine(Texts(FILES | {"org.yaml": org}), priced=bool)
    assert said(found) == [
        "registry/org.yaml:9: connectors.github.tools.list_issues.price_usd: -1 is too small: it must be at least 0"
    ]


def test_a_sandbox_costs_its_size_times_its_time_at_the_rate_of_the_day():
    rates = contract(
        "sandbox:\n  - {starts: 2026-10-01, vcpu_second_usd: 0.00001, gib_second_usd: 0.000002}\n"
    )
    box = BoxTime(2.0, 512, limit_ms=60_000)
    rated = box_cost(rates, moment("2026-10-01"), box, 1_500)
    assert rated.cost == Decimal("1.5") * (Decimal("0.00002") + Decimal("0.000001")) * PICO
    assert rated.status == "priced"
    assert box_cost(rates, moment("2026-09-30"), box, 1_500).status == "undeclared"


def test_a_changed_contract_has_another_name_on_the_row():
    one, other = (
        Book(contract(terms(f"{HEAD}, discount: {d}"))).rate(USAGE, SONNET, moment("2026-11-01"))
        for d in (0.1, 0.2)
    )
    assert one.price["price_book"] != other.price["price_book"]
    assert replace(one, cost=0, price={}) == replace(other, cost=0, price={})


def test_peoples_time_is_counted_by_the_rate_of_each_day_and_unknown_without_one():
    rates = contract("people:\n  - {starts: 2026-10-01, hour_usd: 100, card_seconds: 7}\n")
    answered = [moment("2026-09-30"), *[moment("2026-10-01")] * 3]
    time = peoples_time(rates, answered)
    assert (time.cards, time.undeclared, time.seconds) == (4, 1, 21)
    assert time.cost == 583_333_333_334
