"""A loop that spends for nothing is noticed, and one that works is let be."""

from hypothesis import given
from hypothesis import strategies as st

from governance.breaker import Ending, tripped

RED = (("not_reproduced", "tests/test_a.py::test_a"),)


def barren(
    cost: int = 10**10, ends: tuple[tuple[str, str], ...] = RED, paid: bool = True
) -> Ending:
    return Ending("r", fruitful=False, paid=paid, cost=cost, ends=ends)


FRUITFUL = Ending("r", fruitful=True, paid=True, cost=10**10)
FREE = Ending("r", fruitful=False, paid=False, cost=0)


def test_the_same_finding_ended_the_same_way_twice_trips_and_says_which_and_at_what_cost():
    why = tripped([barren(), barren()], 2)
    assert why == (
        "the same finding ended the same way in 2 runs in a row, and nothing was accepted: "
        "not_reproduced: tests/test_a.py::test_a. They cost 0.0200 USD (computed)."
    )
    assert tripped([barren()], 2) is None
    assert tripped([barren(), barren()], 3) is None


def test_an_accepted_outcome_begins_a_new_count():
    assert tripped([barren(), FRUITFUL, barren(), barren()], 2) is None
    assert tripped([FRUITFUL, barren(), barren()], 2) is None


def test_a_run_that_asked_no_model_neither_trips_nor_resets():
    assert tripped([FREE] * 40, 2) is None
    assert tripped([barren(), FREE, FREE, barren()], 2) is not None
    outage = barren(0, (("unavailable", ""),), paid=False)
    assert tripped([outage] * 40, 2) is None


def test_other_findings_that_end_alike_trip_once_later_since_names_are_a_models():
    def named(n: int) -> Ending:
        return barren(ends=(("rounds", f"failure-{n}"),))

    assert tripped([named(1), named(2)], 2) is None
    why = tripped([named(1), named(2), named(3)], 2)
    assert why is not None
    assert why.startswith("every finding ended the same way in 3 runs in a row")


def test_different_ends_of_different_findings_are_a_loop_at_work():
    ends = [(("rounds", "a"),), (("checker", "b"),), (("not_reproduced", "c"),), (("cost", "d"),)]
    assert tripped([barren(ends=e) for e in ends], 2) is None


def test_runs_that_succeed_with_nothing_accepted_trip_when_what_they_cost_doubles():
    quiet = [barren(cost, ()) for cost in (22, 18, 14, 10)]
    assert tripped(quiet[1:], 2) is None
    why = tripped(quiet, 2)
    assert why is not None
    assert "4 runs in a row had nothing accepted" in why
    assert tripped([barren(10, ())] * 40, 2) is None


endings = st.lists(
    st.builds(
        Ending, run=st.just("r"), fruitful=st.booleans(), paid=st.booleans(),
        cost=st.integers(0, 10**12),
        ends=st.lists(
            st.tuples(st.sampled_from(["rounds", "checker"]), st.sampled_from(["a", "b"])), max_size=3
        ).map(tuple),
    ),
    max_size=12,
)  # fmt: skip


@given(endings, st.integers(2, 5))
def test_it_never_trips_on_fewer_paid_runs_than_it_was_told_nor_after_an_accepted_one(
    runs: list[Ending], after: int
):
    if tripped(runs, after) is None:
        return
    assert not runs or not runs[0].fruitful
    since = runs[: next((n for n, e in enumerate(runs) if e.fruitful), len(runs))]
    assert sum(e.paid for e in since) >= after


@given(endings, st.integers(2, 5))
def test_runs_without_a_model_call_change_nothing(runs: list[Ending], after: int):
    free = Ending("r", fruitful=False, paid=False, cost=0, ends=RED)
    mixed = [e for run in runs for e in (free, run)]
    assert (tripped(mixed, after) is None) == (tripped(runs, after) is None)
