"""What is an alert, what is noise, and what does an alert say?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.alerts import crossed, named, said, shares_of, spike_at, told_when_refused
from governance.parts import PICO

STANDING = {
    "budget": "rule:team-day/platform:usd", "window": "2026-11-28", "cap": 20 * PICO,
    "spent": 15 * PICO, "unknown": PICO, "held": PICO // 2, "at": 1_764_331_500_000,
}  # fmt: skip


def test_a_share_says_whose_money_when_and_how_it_stands() -> None:
    assert said({"kind": "share", "share": 80, **STANDING}) == (
        "rule team-day, platform: 80 % of its money is spent",
        "Cap 20.0000 USD in window 2026-11-28: 15.0000 USD settled, 1.0000 USD unknown, 0.5000 USD held "
        "(2025-11-28 12:05 UTC).\nBudget rule:team-day/platform:usd. Look: `loops top`",
    )


def test_a_refusal_says_who_was_first() -> None:
    told = said({"kind": "refused", "asked": 5 * PICO, "key": "i1-1-maker-3-0", **STANDING})
    assert told is not None
    assert told[0] == "rule team-day, platform: its money is spent, and work stops"
    assert told[1].startswith("First refused: i1-1-maker-3-0, which asked for 5.0000 USD.")


def test_a_wait_says_until_when_and_what_becomes_of_whom() -> None:
    until = "until 2026-11-29 00:00 Europe/Berlin"
    told = said(
        {"kind": "waits", "asked": 5 * PICO, "until": until, "key": "i1-1-maker-3-0", **STANDING}
    )
    assert told is not None
    assert told[0] == f"rule team-day, platform: no room in its money {until}"
    assert told[1].startswith(
        "First to meet that: i1-1-maker-3-0, which asked for 5.0000 USD. An item waits for it without a process, a "
        "heartbeat ends."
    )


def test_a_spike_says_what_is_usual() -> None:
    told = said({
        "kind": "spike", "run": "r9", "loop": "night-fix", "cost": 9 * PICO, "past": 7,
        "middle": 2 * PICO, "dearest": 4 * PICO, "at": 0,
    })  # fmt: skip
    assert told is not None
    assert told[0] == "night-fix: run r9 costs far more than its runs did"
    assert "the middle of the 7 runs before it is 2.0000 USD, the dearest 4.0000 USD" in told[1]


def test_other_notices_have_other_words() -> None:
    assert said({"kind": "breaker", "loop": "x"}) is None


def test_names_can_neither_style_nor_hide_anything() -> None:
    assert named("rule:a\u202e/b\x1b[2J:usd") == "rule a\\u{202e}, b\\u{1b}[2J"


@pytest.mark.parametrize(
    ("budget", "shares", "refusal"),
    [
        ("rule:day/all:usd", (50, 80, 100), True),
        ("rule:day/all:runs", (50, 80, 100), True),
        ("rule:side/all:concurrent", (), False),
        ("run:r1:usd", (80,), True),
        ("run:r1:tokens", (80,), True),
        ("run:r1:steps", (), True),
        ("item:i1:steps", (), False),
    ],
)
def test_what_is_news_and_what_is_noise(
    budget: str, shares: tuple[int, ...], refusal: bool
) -> None:
    assert (shares_of(budget), told_when_refused(budget)) == (shares, refusal)


@given(
    cap=st.integers(1, 10**15), steps=st.lists(st.integers(0, 10**14), max_size=30),
    shares=st.sets(st.integers(1, 100), max_size=5),
)  # fmt: skip
def test_whatever_the_steps_each_share_is_passed_at_most_once_and_the_highest_reached_is_told(
    cap: int, steps: list[int], shares: set[int]
) -> None:
    told: list[int] = []
    taken = 0
    for step in steps:
        share = crossed(tuple(shares), cap, taken, taken + step)
        taken += step
        told += [share] if share is not None else []
    reached = {s for s in shares if s * cap <= taken * 100}
    assert told == sorted(set(told))
    assert max(told, default=None) == max(reached, default=None)


@given(st.lists(st.integers(1, 10**13), min_size=5, max_size=20))
def test_a_run_like_those_before_it_is_never_a_spike(past: list[int]) -> None:
    limit = spike_at(past)
    assert limit is not None
    assert all(cost < limit for cost in past)
