"""What is to become of open work, given what Prefect says of its flow run?"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.effects import Stop
from governance.recovery import (
    SETTLED_MS,
    SILENCE_MS,
    STUCK_MS,
    FlowState,
    Handed,
    Restart,
    Seen,
    care_of,
    restart_prefix,
)

NOW = 10_000_000
WORK = Handed(
    owner="i1", loop="triage", definition="sha256:d", flow_run="flow-1", status="working", life=1,
    epoch=0, restarts=0, stop=None, acted_at=None,
)  # fmt: skip
OVER: tuple[FlowState, ...] = ("COMPLETED", "FAILED", "CRASHED")
ALIVE: tuple[FlowState, ...] = ("SCHEDULED", "PAUSED")


def seen(type: FlowState, age: int = SETTLED_MS + 1, **more: object) -> Seen:
    return replace(Seen("state-1", type, NOW - age), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("type", OVER)
def test_a_run_that_is_over_before_its_work_is_starts_again_under_a_name_of_that_ending(
    type: FlowState,
) -> None:
    care = care_of(WORK, seen(type, message="exit code -9"), max_lives=3, now=NOW)
    why = f"its flow run ended as {type.lower()} before it was done: exit code -9"
    assert care == Restart("i1-0-state-1", why)


@pytest.mark.parametrize("type", OVER)
def test_a_crash_is_left_alone_until_its_second_report_has_come(type: FlowState) -> None:
    assert care_of(WORK, seen(type, SETTLED_MS), max_lives=3, now=NOW) is None


@pytest.mark.parametrize("type", ALIVE)
def test_a_run_that_may_go_on_is_left_alone_however_long(type: FlowState) -> None:
    assert care_of(WORK, seen(type, 10**9), max_lives=3, now=NOW) is None


def test_a_run_that_gives_no_sign_of_life_starts_again_and_any_sign_will_do() -> None:
    long_ago = SILENCE_MS + 1
    care = care_of(WORK, seen("RUNNING", long_ago), max_lives=3, now=NOW)
    assert isinstance(care, Restart)
    assert "no sign of life for 180 s" in care.why
    young = NOW - SILENCE_MS
    for work, run in (
        (WORK, seen("RUNNING", SILENCE_MS)),
        (WORK, seen("RUNNING", long_ago, heard=young)),
        (replace(WORK, acted_at=young), seen("RUNNING", long_ago)),
    ):
        assert care_of(work, run, max_lives=3, now=NOW) is None


def test_what_is_not_in_prefect_any_more_ends() -> None:
    care = care_of(WORK, None, max_lives=3, now=NOW)
    assert isinstance(care, Stop)
    assert care.reason == "cancelled"


def test_what_was_cancelled_ends_at_once_and_what_nobody_finishes_cancelling_after_minutes() -> (
    None
):
    for care in (
        care_of(WORK, seen("CANCELLED", 0), max_lives=3, now=NOW),
        care_of(WORK, seen("CANCELLING", STUCK_MS + 1), max_lives=3, now=NOW),
    ):
        assert isinstance(care, Stop)
        assert care.reason == "cancelled"
    assert care_of(WORK, seen("CANCELLING", STUCK_MS), max_lives=3, now=NOW) is None


def test_a_run_that_waits_without_a_form_asks_again_and_one_with_a_form_waits() -> None:
    waits = replace(WORK, status="waiting")
    assert isinstance(care_of(waits, seen("PAUSED", has_form=False), max_lives=3, now=NOW), Restart)
    assert care_of(waits, seen("PAUSED", SETTLED_MS, has_form=False), max_lives=3, now=NOW) is None
    assert care_of(waits, seen("PAUSED"), max_lives=3, now=NOW) is None
    assert care_of(WORK, seen("PAUSED", has_form=False), max_lives=3, now=NOW) is None


def test_a_run_that_was_picked_up_and_never_began_starts_again() -> None:
    assert care_of(WORK, seen("PENDING", STUCK_MS), max_lives=3, now=NOW) is None
    assert isinstance(care_of(WORK, seen("PENDING", STUCK_MS + 1), max_lives=3, now=NOW), Restart)


@pytest.mark.parametrize("tried", [{"life": 3}, {"restarts": 3}])
def test_too_many_lives_end_it_whether_or_not_they_took_it_up(tried: dict[str, int]) -> None:
    care = care_of(replace(WORK, **tried), seen("CRASHED"), max_lives=3, now=NOW)  # type: ignore[arg-type]
    assert isinstance(care, Stop)
    assert care.reason == "lives"
    assert "3 of 3 times" in care.detail
    assert "harness.max_lives" in care.detail


def test_a_stop_for_lives_that_was_put_before_is_the_one_that_stays() -> None:
    stop = Stop("lives", "as the claim said it")
    assert care_of(replace(WORK, stop=stop), seen("FAILED"), max_lives=3, now=NOW) == stop


def test_what_a_person_called_off_is_not_started_again_however_its_process_ended() -> None:
    stop = Stop("cancelled", "as the process noted it before it died")
    assert care_of(replace(WORK, stop=stop), seen("CRASHED"), max_lives=3, now=NOW) == stop
    raised = Stop("cost", "a cap")
    assert isinstance(
        care_of(replace(WORK, stop=raised), seen("CRASHED"), max_lives=3, now=NOW), Restart
    )


def test_what_died_before_the_last_form_does_not_count_after_it() -> None:
    assert restart_prefix("i1", 1) != restart_prefix("i1", 0)
    care = care_of(replace(WORK, epoch=1), seen("CRASHED"), max_lives=3, now=NOW)
    assert isinstance(care, Restart)
    assert care.key.startswith(restart_prefix("i1", 1))


@given(
    type=st.sampled_from([*OVER, *ALIVE, "RUNNING", "PENDING", "CANCELLING", "CANCELLED"]),
    ages=st.lists(st.integers(0, 10**9), min_size=1, max_size=20),
    waits=st.booleans(),
    has_form=st.booleans(),
    max_lives=st.integers(1, 10),
)
def test_no_story_starts_a_run_again_more_often_than_it_may(
    type: FlowState, ages: list[int], waits: bool, has_form: bool, max_lives: int
) -> None:
    """Whatever is seen how often: restarts are bounded, and after the last of them the work ends."""
    work = replace(WORK, status="waiting" if waits else "working", life=0)
    for n, age in enumerate(ages * max_lives):
        saw = Seen(f"s{n}", type, NOW - age, has_form=has_form)
        care = care_of(work, saw, max_lives=max_lives, now=NOW)
        if isinstance(care, Stop):
            return
        if isinstance(care, Restart):
            work = replace(work, restarts=work.restarts + 1)
    assert work.restarts <= max_lives
