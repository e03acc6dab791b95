"""When is an agent told to wrap up, once for each cap, and what exactly?"""

from hypothesis import given
from hypothesis import strategies as st

from governance.parts import PICO
from governance.raises import Heard, amount, own_caps, told_of
from governance.records import Budget

STEPS = "item:i1:steps"


def steps(spent: int, cap: int = 10, **more: int) -> Budget:
    return Budget(STEPS, "r1", cap, spent=spent, **more)


def test_nothing_is_said_below_the_share() -> None:
    assert told_of([steps(7)], 0.8, Heard()) is None


def test_at_the_share_it_is_told_what_is_left_and_to_wrap_up() -> None:
    told = told_of([steps(8)], 0.8, Heard())
    assert told is not None
    assert told["text"].startswith(
        "2 of this item's 10 steps are left, for all its agents together. Wrap up now:"
    )
    assert told["near"] == {STEPS: 10}


def test_it_is_told_once_for_each_cap() -> None:
    assert told_of([steps(9)], 0.8, Heard({STEPS: 10})) is None
    money = Budget("run:r1:usd", "r1", 20 * PICO, spent=17 * PICO)
    told = told_of([steps(9), money], 0.8, Heard({STEPS: 10}))
    assert told is not None
    assert told["text"].startswith("3 of this run's 20 USD are left")
    assert told["near"] == {"run:r1:usd": 20 * PICO}


def test_after_a_raise_it_is_told_once_that_there_is_more_and_near_the_new_cap_to_wrap_up() -> None:
    heard = Heard({STEPS: 10})
    told = told_of([steps(10, 50)], 0.8, heard)
    assert told is not None
    assert told["text"].startswith(
        "A person has raised a limit: 40 of this item's 50 steps are left."
    )
    heard = heard.and_now(told)
    assert told_of([steps(39, 50)], 0.8, heard) is None
    again = told_of([steps(40, 50)], 0.8, heard)
    assert again is not None
    assert again["text"].startswith("10 of this item's 50 steps are left")
    assert told_of([steps(41, 50)], 0.8, heard.and_now(again)) is None


def test_who_was_never_told_of_a_cap_is_not_told_of_its_raise() -> None:
    assert told_of([steps(10, 50)], 0.8, Heard()) is None


def test_what_is_held_is_no_reason_to_wrap_up_but_is_not_left_either() -> None:
    assert told_of([steps(7, held=3)], 0.8, Heard()) is None
    told = told_of([steps(7, unknown=1, held=2)], 0.8, Heard())
    assert told is not None
    assert told["text"].startswith("0 of this item's 10 steps are left")


def test_a_share_of_one_is_for_never() -> None:
    assert told_of([steps(10)], 1, Heard()) is None


def test_minutes_and_money_are_said_as_people_count_them() -> None:
    assert (amount(90_000, "minutes"), amount(PICO // 4, "usd"), amount(1200, "tokens")) == (
        "1.5",
        "0.25",
        "1,200",
    )
    assert own_caps("r1", "i1")[0] == STEPS


@given(cap=st.integers(1, 10**18), spent=st.integers(0, 10**18), share=st.floats(0.01, 0.999))
def test_it_is_never_told_early_nor_twice(cap: int, spent: int, share: float) -> None:
    told = told_of([steps(spent, cap)], share, Heard())
    assert (told is not None) == (spent >= share * cap)
    if told is not None:
        assert told_of([steps(spent + 1, cap)], share, Heard(told["near"])) is None
