"""Do rounds that were begun anew ever go by a number that was used?"""

from hypothesis import given
from hypothesis import strategies as st

from governance.rounds import begun_anew, number_of, round_of

starts = st.lists(st.integers(0, 5), max_size=6)


def test_without_a_restart_a_round_goes_by_its_own_number() -> None:
    assert [number_of(r, ()) for r in range(4)] == [0, 1, 2, 3]
    assert [round_of(n, ()) for n in range(4)] == [0, 1, 2, 3]


def test_the_second_round_begun_anew_goes_by_three_and_the_third_by_four() -> None:
    restarts = begun_anew(2, (), 2)
    assert [number_of(r, restarts) for r in (0, 1, 2, 3)] == [0, 1, 3, 4]
    assert [round_of(n, restarts) for n in range(5)] == [0, 1, None, 2, 3]


@given(starts, st.integers(1, 4))
def test_no_number_is_ever_used_twice(begun: list[int], reached: int) -> None:
    restarts, used = (), {number_of(r, ()) for r in range(reached + 1)}
    for start in begun:
        restarts = begun_anew(start, restarts, max(used))
        fresh = {number_of(r, restarts) for r in range(start, start + reached)}
        assert not fresh & used
        used |= fresh


@given(starts, st.integers(0, 8))
def test_a_number_names_its_round_and_a_number_given_up_names_none(
    begun: list[int], round: int
) -> None:
    restarts, highest = (), 8
    for start in begun:
        restarts = begun_anew(start, restarts, highest)
        highest = number_of(8, restarts)
    assert round_of(number_of(round, restarts), restarts) == round
    numbers = [n for n in range(highest + 1) if round_of(n, restarts) is not None]
    assert len({round_of(n, restarts) for n in numbers}) == len(numbers)


@given(starts, st.integers(0, 5))
def test_rounds_before_the_restart_keep_their_numbers(begun: list[int], start: int) -> None:
    restarts, highest = (), 8
    for one in begun:
        restarts = begun_anew(one, restarts, highest)
        highest = number_of(8, restarts)
    before = [number_of(r, restarts) for r in range(start)]
    after = begun_anew(start, restarts, highest)
    assert [number_of(r, after) for r in range(start)] == before
