"""When does a budget that is full have room again: is it the first moment at which it has?"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.budgets import BudgetRule
from governance.draws import SLICES, period, width_of
from governance.openings import next_window, rolled_out
from governance.waits import Later, Wait, Waits, soonest

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Cairo", "America/Havana",
    "America/Sao_Paulo", "America/Asuncion", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe",
)  # fmt: skip
MOMENTS = st.integers(
    int(datetime(2005, 1, 1, tzinfo=UTC).timestamp() * 1000),
    int(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1000),
)


def rolls(per: str, cap: int) -> BudgetRule:
    return BudgetRule(name="a", tokens=cap, per=per)


def fits(rule: BudgetRule, drawn: list[tuple[int, int]], asked: int, at: int) -> bool:
    """Whether T4 would find room at that moment: all slices from the oldest that counts, and this."""
    _, since = period(rule, "", at)
    assert since is not None
    return sum(n for began, n in drawn if began >= int(since)) + asked <= rule.cap


@given(
    st.sampled_from(["10s", "60s", "15m", "24h", "31d"]), st.integers(1, 50), st.integers(1, 60),
    st.dictionaries(st.integers(0, SLICES), st.integers(0, 40), max_size=SLICES + 1), MOMENTS,
)  # fmt: skip
def test_a_window_that_rolls_has_room_at_that_moment_and_a_millisecond_earlier_it_has_none(
    per: str, cap: int, asked: int, amounts: dict[int, int], now: int
) -> None:
    rule = rolls(per, cap)
    width = width_of(rule)
    drawn = [((now // width - back) * width, amount) for back, amount in amounts.items()]
    opens = rolled_out(rule, drawn, asked, now)
    if asked > cap:
        assert opens is None, "that is more than it ever has"
        return
    assert opens is not None
    assert now <= opens <= now + (SLICES + 1) * width
    assert fits(rule, drawn, asked, opens)
    assert opens == now or not fits(rule, drawn, asked, opens - 1)


@given(st.sampled_from(["day", "month"]), st.sampled_from(ZONES), MOMENTS)
def test_a_day_or_a_month_ends_at_that_moment_and_not_a_millisecond_earlier(
    per: str, zone: str, now: int
) -> None:
    rule = BudgetRule.model_validate({"name": "a", "usd": 1, "per": per, "timezone": zone})
    opens = next_window(rule, now)
    assert opens > now
    assert period(rule, "", opens) != period(rule, "", now)
    assert period(rule, "", opens - 1) == period(rule, "", now)


@pytest.mark.parametrize(
    ("zone", "now", "opens"),
    [
        ("Europe/Berlin", "2026-06-06T12:00", "2026-06-06T22:00"),
        ("Africa/Cairo", "2026-04-23T12:00", "2026-04-23T22:00"),
        ("Pacific/Apia", "2011-12-29T12:00", "2011-12-30T10:00"),
    ],
)
def test_midnight_is_that_of_the_rules_time_zone_also_where_the_clock_jumps_over_it(
    zone: str, now: str, opens: str
) -> None:
    rule = BudgetRule.model_validate({"name": "a", "usd": 1, "per": "day", "timezone": zone})
    assert next_window(rule, ms(now)) == ms(opens)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@given(MOMENTS, st.sampled_from(ZONES))
def test_what_people_are_told_is_never_too_early(opens: int, zone: str) -> None:
    wait = Wait("rule:a/all:usd", "2026-06-06", 1, opens, zone=zone)
    word, day, clock, named = wait.until.split()
    assert (word, named) == ("until", zone)
    said = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZoneInfo(zone))
    moments = {said.replace(fold=fold).timestamp() * 1000 for fold in (0, 1)}
    assert any(0 <= moment - opens < 60_000 for moment in moments)


def test_a_wait_is_told_in_words() -> None:
    midnight = Wait(
        "rule:day/all:usd", "2026-06-06", 1, ms("2026-06-06T22:00"), zone="Europe/Berlin"
    )
    held = Wait("run:r1:usd", "r1", 1, None, held=True)
    assert Waits(0, None, (midnight, held)).said == (
        "waits for budget rule:day/all:usd until 2026-06-07 00:00 Europe/Berlin; "
        "waits for budget run:r1:usd until calls under way end"
    )
    far = Later("claude", ms("2026-06-06T22:00") - 1)
    assert far.said == "waits for claude until 2026-06-06 22:00 UTC"


def test_of_several_that_wait_for_one_budget_the_least_lets_an_item_go_on() -> None:
    more, less = Wait("a", "w", 5, None, held=True), Wait("a", "w", 3, 9)
    other, soon, late = Wait("b", "w", 7, 4), Later("m", 5), Later("m", 6)
    assert soonest((late, more, other, soon, less)) == (less, other, soon)
