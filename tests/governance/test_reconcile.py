"""What a bill explains is resolved to the pico, and what it does not is touched by nobody."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.bill import Billed, Meters, Report, Units, model_named, start_of, units_of
from governance.prices import Book, price_of
from governance.reconcile import compared, shared
from governance.tried import Tried, stretches, within

DAY = date(2026, 11, 24)
MODEL = "claude-sonnet-4-6"
FLAT = Units(tuple(map(Decimal, (3, 1, 4, 6, 15))), "book")
NOON = start_of(DAY) + 12 * 3_600_000
counts = st.integers(0, 50)
meters = st.builds(Meters, counts, counts, counts, counts, counts)


def flat(model: str, at: int) -> Units | None:
    return FLAT


def settled(n: int, used: Meters) -> Tried:
    return Tried(f"s{n}", 1, MODEL, MODEL, "settled", NOON, NOON + 5, used, FLAT.cost(used))


def unknown(n: int, used: Meters, spare: int = 0) -> Tried:
    """Nobody knows what it used; it held at least that much."""
    held = FLAT.cost(used) + 15 * spare
    return Tried(
        f"u{n}",
        1,
        MODEL,
        MODEL,
        "unknown",
        NOON + n,
        NOON + 99,
        held=held,
        held_tokens=used.total + spare,
    )


def bill_of(*used: Meters, tokens: bool = True, usd: bool = True) -> Billed:
    whole = sum(used, Meters())
    return Billed(whole if tokens else None, FLAT.cost(whole) if usd else None)


@given(st.lists(meters, max_size=4), st.lists(st.tuples(meters, counts, st.booleans()), max_size=5), st.sampled_from([(True, True), (True, False), (False, True)]))  # fmt: skip
def test_when_the_bill_is_of_our_calls_settled_is_the_bill_afterwards(
    answered: list[Meters], lost: list[tuple[Meters, int, bool]], says: tuple[bool, bool]
) -> None:
    """settled ≤ bill ≤ settled + unknown before; equal, and nothing unknown, after."""
    billed = [used for used, _, was in lost if was]
    bill = bill_of(*answered, *billed, tokens=says[0], usd=says[1])
    truth = FLAT.cost(sum((*answered, *billed), Meters()))
    tries = [settled(n, used) for n, used in enumerate(answered)]
    tries += [unknown(n, used, spare) for n, (used, spare, _) in enumerate(lost)]
    held = {t.key: t for t in tries if t.status == "unknown"}
    found = compared(MODEL, (DAY, DAY), bill, tries, flat)
    assert found.settled_usd <= truth <= found.settled_usd + found.unknown_usd
    assert found.state == ("resolved" if lost else "equal")
    assert found.settled_usd + found.resolved_usd == truth
    assert {s.key for s in found.shares} == set(held)
    for share in found.shares:
        assert 0 <= share.cost <= held[share.key].held
        assert 0 <= share.meters.total <= (held[share.key].held_tokens or 0)
    if says[0]:
        assert sum((s.meters for s in found.shares), found.settled) == bill.tokens
    assert not found.off_usd
    assert found.off in (None, Meters())
    again = [t for t in tries if t.status == "settled"]
    again += [
        replace(held[s.key], status="settled", meters=s.meters, cost=s.cost)
        for s in found.shares if s.billed
    ]  # fmt: skip
    twice = compared(MODEL, (DAY, DAY), bill, again, flat)
    assert (twice.state, twice.shares) == ("equal", ())


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**14), max_size=9))
def test_a_sum_is_shared_whole_and_within_each_bound_or_not_at_all(
    amount: int, bounds: list[int]
) -> None:
    if amount > sum(bounds):
        with pytest.raises(ValueError, match="cannot be shared"):
            shared(amount, bounds)
        return
    parts = shared(amount, bounds)
    assert sum(parts) == amount
    assert all(0 <= part <= bound for part, bound in zip(parts, bounds, strict=True))


@pytest.mark.parametrize(
    ("bill", "why"),
    [
        (bill_of(Meters(input=10, output=1_000)), "more was billed than the unknown calls can have cost"),
        (bill_of(Meters(input=9)), "fewer tokens were billed than calls of ours were answered with"),
        (bill_of(Meters(input=10, output=1_000), tokens=False), "more was billed than the unknown calls can"),
        (bill_of(Meters(input=9), tokens=False), "less was billed than calls of ours cost"),
    ],
)  # fmt: skip
def test_what_no_unknown_call_can_explain_is_shown_and_nothing_is_resolved(
    bill: Billed, why: str
) -> None:
    tries = [settled(0, Meters(input=10)), unknown(0, Meters(input=5), 5)]
    found = compared(MODEL, (DAY, DAY), bill, tries, flat)
    assert (found.state, found.shares) == ("unexplained", ())
    assert why in found.why
    assert found.off_usd == (bill.usd or 0) - 30


def test_without_an_unknown_call_more_is_unexplained_by_model_and_day() -> None:
    found = compared(MODEL, (DAY, DAY), bill_of(Meters(output=7)), [], flat)
    assert (found.state, found.off, found.off_usd) == ("unexplained", Meters(output=7), 105)


def test_equal_tokens_at_another_price_resolve_the_calls_and_show_the_price() -> None:
    bill = Billed(Meters(input=10), 31)
    tries = [settled(0, Meters(input=10)), unknown(0, Meters(input=5))]
    found = compared(MODEL, (DAY, DAY), bill, tries, flat)
    assert (found.state, found.off, found.off_usd) == ("unexplained", Meters(), 1)
    assert [s.billed for s in found.shares] == [False]
    assert "the prices differ" in found.why


def test_a_bill_in_whole_cents_frees_no_call_that_would_not_show_in_it() -> None:
    tries = [settled(0, Meters(input=10)), unknown(0, Meters(input=5))]
    rounded = Billed(None, 30, slack=5)
    found = compared(MODEL, (DAY, DAY), rounded, tries, flat)
    assert (found.state, found.shares) == ("unclear", ())
    exact = compared(MODEL, (DAY, DAY), replace(rounded, slack=0), tries, flat)
    assert [s.billed for s in exact.shares] == [False]


def test_an_open_call_holds_the_whole_day_up() -> None:
    tries = [unknown(0, Meters(input=5)), replace(settled(0, Meters()), status="open")]
    found = compared(MODEL, (DAY, DAY), bill_of(Meters(input=5)), tries, flat)
    assert (found.state, found.shares) == ("waits", ())


def test_a_price_that_depends_on_the_call_is_taken_from_the_bill_or_not_at_all() -> None:
    tries = [unknown(0, Meters(input=5))]
    bill = bill_of(Meters(input=5))
    by_bill = compared(MODEL, (DAY, DAY), bill, tries, lambda model, at: None)
    assert [s.cost for s in by_bill.shares] == [15]
    without = compared(MODEL, (DAY, DAY), replace(bill, usd=None), tries, lambda model, at: None)
    assert (without.state, without.shares) == ("unclear", ())


def test_days_that_one_call_reaches_over_are_compared_as_one() -> None:
    noon = unknown(0, Meters())
    over = replace(noon, key="u1", began=start_of(date(2026, 11, 25)) - 50, until=start_of(date(2026, 11, 25)) + 50)  # fmt: skip
    late = replace(noon, key="u2", began=NOON + 3 * 86_400_000, until=NOON + 3 * 86_400_000 + 9)
    found = stretches([late, over, noon], DAY, date(2026, 11, 30))
    assert found == ((DAY, date(2026, 11, 25)), (date(2026, 11, 27), date(2026, 11, 27)))
    assert within([late, over, noon], found[0]) == (over, noon)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"), ("Claude Haiku 4.5", "claude-haiku-4-5"),
        ("claude-3-7-sonnet-20250219", "claude-sonnet-3-7"), ("Claude Sonnet 3.7", "claude-sonnet-3-7"),
        ("claude-opus-4-1@20250805", "claude-opus-4-1"),
    ],
)  # fmt: skip
def test_a_model_is_spelled_one_way_whoever_names_it(name: str, spelled: str) -> None:
    assert model_named(name) == spelled


def test_a_model_that_a_covered_day_does_not_name_was_not_billed_on_it() -> None:
    report = Report("r", 0, {}, tokens=(DAY, DAY))
    assert report.of(MODEL, (DAY, DAY)) == Billed(Meters())
    assert report.of(MODEL, (DAY, date(2026, 11, 25))) is None


def test_unit_prices_are_the_price_books_where_every_call_has_the_same() -> None:
    units = units_of(Book())(MODEL, NOON)
    assert units is not None
    assert units.cost(Meters(10, 10, 10, 10, 10)) == 10 * (3 + 0.3 + 3.75 + 6 + 15) * 10**6
    priced = price_of(MODEL, NOON)
    assert priced is not None
    assert {k: v for k, v in priced.as_json().items() if k != "model"} == units.as_json
    assert units_of(Book())("no-such-model", NOON) is None
