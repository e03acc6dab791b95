"""One line of a calendar, read alike whenever and by whomever it is read."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prefect.server.schemas.schedules import CronSchedule

from governance.calendar import (
    MOST_MISSED,
    Beat,
    candidates,
    due,
    moment_of,
    passed,
    slot_name,
)
from governance.triggers import Trigger

ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
    "America/St_Johns", "Pacific/Auckland",
)  # fmt: skip
LINES = (
    "* * * * *",
    "*/10 * * * *",
    "30 2 * * *",
    "0 * * * *",
    "15 1-3 * * *",
    "0 6 * * 1-5",
    "5 4 1 * *",
)


def ms(text: str) -> int:
    found = moment_of(text)
    assert found is not None
    return found


def slots(line: str, zone: str, after: str, now: str, most: int = 1000) -> list[str]:
    return [slot_name(s) for s in passed(line, zone, after=ms(after), now=ms(now), most=most)]


moments = st.integers(ms("2024-01-01T00:00Z"), ms("2030-01-01T00:00Z"))


@settings(max_examples=40, deadline=None)
@given(
    line=st.sampled_from(LINES),
    zone=st.sampled_from(ZONES),
    after=moments,
    long=st.integers(0, 10**8),
)
def test_slots_are_in_order_each_once_and_within_what_was_asked(
    line: str, zone: str, after: int, long: int
):
    found = passed(line, zone, after=after, now=after + long, most=200)
    assert list(found) == sorted(set(found))
    assert all(after < s <= after + long for s in found)


@settings(max_examples=40, deadline=None)
@given(line=st.sampled_from(LINES), zone=st.sampled_from(ZONES), after=moments,
       one=st.integers(0, 10**8), two=st.integers(0, 10**8))  # fmt: skip
def test_a_stretch_of_time_has_the_slots_of_its_parts(
    line: str, zone: str, after: int, one: int, two: int
):
    first = passed(line, zone, after=after, now=after + one, most=10**6)
    second = passed(line, zone, after=after + one, now=after + one + two, most=10**6)
    assert (*first, *second) == passed(line, zone, after=after, now=after + one + two, most=10**6)


@settings(max_examples=40, deadline=None)
@given(
    line=st.sampled_from(LINES), zone=st.sampled_from(ZONES), after=moments, most=st.integers(1, 20)
)
def test_the_newest_few_are_the_end_of_all(line: str, zone: str, after: int, most: int):
    now = after + 10**8
    every = passed(line, zone, after=after, now=now, most=10**6)
    assert passed(line, zone, after=after, now=now, most=most) == every[-most:]


CHANGES = [
    (zone, day)
    for zone, days in {
        "Europe/Berlin": ("2026-03-29", "2026-10-25"),
        "America/New_York": ("2026-03-08", "2026-11-01"),
        "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
        "America/St_Johns": ("2026-03-08", "2026-11-01"),
        "Asia/Kolkata": ("2026-03-29",),
    }.items()
    for day in days
]


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize(
    "line", ["30 2 * * *", "0 * * * *", "*/20 * * * *", "15 1-3 * * *", "0 6 * * 1-5"]
)
def test_prefects_own_scheduler_reads_a_line_the_same_across_every_change_of_the_clock(
    line: str, zone: str, day: str
):
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=1)
    end = start + timedelta(days=3)
    theirs = CronSchedule(cron=line, timezone=zone)
    said = {d.astimezone(UTC) for d in theirs._get_dates_generator(n=500, start=start, end=end)}
    ours = passed(
        line,
        zone,
        after=int(start.timestamp() * 1000) - 1,
        now=int(end.timestamp() * 1000),
        most=10**6,
    )
    assert [datetime.fromtimestamp(s / 1000, UTC) for s in ours] == sorted(said)


def test_an_hour_that_does_not_exist_is_run_once_and_one_that_comes_twice_too():
    assert slots("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-30T12:00Z") == [
        "2026-03-29T00:30:00Z", "2026-03-30T00:30:00Z",
    ]  # fmt: skip
    assert slots("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-26T12:00Z") == [
        "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z",
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(zone=st.sampled_from(ZONES), after=moments)
def test_a_daily_slot_is_one_for_each_day_of_the_local_clock(zone: str, after: int):
    now = after + 40 * 86_400_000
    found = passed("30 2 * * *", zone, after=after, now=now, most=1000)
    days = [datetime.fromtimestamp(s / 1000, ZoneInfo(zone)).date() for s in found]
    assert days == sorted(set(days))
    assert len(days) in (39, 40, 41)


EVERY_TEN = {"schedule": "*/10 * * * *", "timezone": "Europe/Berlin"}
FRIDAY, MONDAY = "2026-06-05T20:00Z", "2026-06-08T06:03Z"


def still(missed: str, beats: tuple[Beat, ...] = (), **changes: str) -> list[str]:
    trigger = Trigger.model_validate({**EVERY_TEN, "missed": missed, **changes})
    slots = candidates(trigger, upto=ms(FRIDAY), now=ms(MONDAY))
    return [slot_name(s) for s in due(trigger, slots, beats)]


def test_after_a_weekend_skip_and_once_leave_the_slot_that_is_now_and_all_leaves_the_newest_hundred():
    assert still("skip") == still("once") == ["2026-06-08T06:00:00Z"]
    every = still("all")
    assert len(every) == MOST_MISSED + 1
    assert (every[0], every[-1]) == ("2026-06-07T13:20:00Z", "2026-06-08T06:00:00Z")


def ran(slot: str, began: str, ended: str | None, lease: str | None = None) -> Beat:
    return Beat(slot, ms(began), ms(ended) if ended else None, ms(lease) if lease else None)


def test_a_slot_that_has_its_run_is_never_due_again():
    newest = ran("2026-06-08T06:00:00Z", "2026-06-08T06:00:05Z", "2026-06-08T06:01Z")
    assert still("skip", (newest,)) == still("once", (newest,)) == []
    assert "2026-06-08T06:00:00Z" not in still("all", (newest,))
    assert len(still("all", (newest,))) == MOST_MISSED


def test_what_came_while_a_heartbeat_was_under_way_was_skipped_and_is_not_missed():
    long = ran("by-hand-1", "2026-06-08T05:35Z", "2026-06-08T06:02Z")
    assert still("skip", (long,)) == still("once", (long,)) == []
    assert still("skip", (long,), overlap="enqueue") == ["2026-06-08T06:00:00Z"]
    assert still("all", (long,))[-1] == "2026-06-08T05:30:00Z"
    assert still("all", (long,), overlap="enqueue")[-1] == "2026-06-08T06:00:00Z"


def test_a_heartbeat_that_died_is_under_way_until_its_lease_and_no_longer():
    dead = ran("by-hand-1", "2026-06-08T05:35Z", None, "2026-06-08T05:45Z")
    assert still("all", (dead,))[-2:] == ["2026-06-08T05:50:00Z", "2026-06-08T06:00:00Z"]
    assert "2026-06-08T05:40:00Z" not in still("all", (dead,))


@settings(max_examples=30, deadline=None)
@given(
    zone=st.sampled_from(ZONES), start=moments, policy=st.sampled_from(["skip", "once", "all"]),
    gaps=st.lists(st.integers(0, 6 * 3_600_000), max_size=12),
)  # fmt: skip
def test_whenever_a_firing_comes_no_slot_runs_twice_and_all_leaves_none_out(
    zone: str, start: int, policy: str, gaps: list[int]
):
    """Firings at any moments, each of which runs what is due until nothing is."""
    trigger = Trigger.model_validate(
        {"schedule": "*/20 * * * *", "timezone": zone, "missed": policy}
    )
    upto, now, beats = start, start, tuple[Beat, ...]()
    for gap in gaps:
        now += gap
        while found := due(trigger, candidates(trigger, upto=upto, now=now), beats):
            slot = found[0]
            assert slot_name(slot) not in {b.slot for b in beats}
            assert slot <= now
            beats = (*beats, Beat(slot_name(slot), now, now))
            upto = max(upto, slot)
    every = {slot_name(s) for s in passed("*/20 * * * *", zone, after=start, now=now, most=1000)}
    run = [b.slot for b in beats if moment_of(b.slot) > start]  # type: ignore[operator]
    assert set(run) <= every
    if policy == "all":
        assert run == sorted(every)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2026-06-08T06:00:00Z", "2026-06-08T06:00:00Z"),
        ("2026-06-08T08:00+02:00", "2026-06-08T06:00:00Z"),
        ("2026-06-08T06:00", None),
        ("by-hand-1", None),
    ],
)
def test_a_slot_has_one_name_however_it_is_spelled(text: str, name: str | None):
    moment = moment_of(text)
    assert (None if moment is None else slot_name(moment)) == name
