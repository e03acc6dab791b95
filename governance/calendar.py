"""Which moments does a schedule stand for, and which of them are still to be run?

A slot is each time the clock of the time zone shows what the cron line says, once. In the hour that comes twice it is
the first time; in the hour that does not exist it is the moment the clock of the new time would have shown. That is
how Prefect's scheduler reads a line; it is said here once more, because a firing may come late, twice or never.

Moments are Unix milliseconds, UTC.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from governance.triggers import Trigger

MOST_MISSED = 100
"""Slots that `missed: all` makes up for after one gap, the newest; older ones are let go, on record."""

_SHIFTED = timedelta(hours=26)
"""No clock is ever set by more: slots read off the local clock in order are in order again after so long."""


@dataclass(frozen=True)
class Beat:
    """A heartbeat on record: its slot, and when it began and ended."""

    slot: str
    began: int
    ended: int | None
    lease: int | None = None
    """While it has not ended, the moment after which it is presumed dead."""


def passed(line: str, timezone: str, *, after: int, now: int, most: int) -> tuple[int, ...]:
    """The newest `most` slots in `after` < slot <= `now`, in order."""
    found: set[int] = set()
    enough: datetime | None = None
    for local, slot in _backwards(line, ZoneInfo(timezone), now):
        if slot <= now:
            found.add(slot)
        if enough is None and (len(found) >= most or slot <= after):
            enough = local - _SHIFTED
        if enough is not None and local < enough:
            break
    return tuple(sorted(s for s in found if s > after)[-most:])


def candidates(trigger: Trigger, *, upto: int, now: int) -> tuple[int, ...]:
    """The slots that may still be to run, in order; at most one more than `MOST_MISSED`.

    `upto` is the last slot that is dealt with. `skip` and `once` know the newest slot alone.
    """
    if trigger.schedule is None:
        return ()
    every = trigger.missed == "all"
    return passed(
        trigger.schedule,
        trigger.timezone,
        after=0 if trigger.missed == "skip" else upto,
        now=now,
        most=MOST_MISSED + 1 if every else 1,
    )


def due(trigger: Trigger, slots: Sequence[int], beats: Sequence[Beat]) -> tuple[int, ...]:
    """Which of these slots are still to be run. A slot has one run.

    With `overlap: skip` a slot that came while a heartbeat was under way was skipped, and is not missed.
    """
    run = {beat.slot for beat in beats}
    skips = trigger.overlap == "skip"
    return tuple(
        slot
        for slot in slots
        if slot_name(slot) not in run and not (skips and _under_way(slot, beats))
    )


def slot_name(moment: int) -> str:
    """A slot as it is written: RFC 3339, UTC, to the second."""
    return datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(slot: str) -> int | None:
    """The moment a slot's name stands for; None for what is no moment with a time zone."""
    try:
        said = datetime.fromisoformat(slot)
    except ValueError:
        return None
    return None if said.tzinfo is None else int(said.timestamp()) * 1000


def _under_way(slot: int, beats: Sequence[Beat]) -> bool:
    return any(b.began < slot and slot < _end(b) for b in beats)


def _end(beat: Beat) -> int:
    return beat.ended if beat.ended is not None else beat.lease or beat.began


def _backwards(line: str, zone: ZoneInfo, now: int) -> Iterator[tuple[datetime, int]]:
    """What the local clock shows for each slot, and the slot, from a day after now back for ever."""
    start = datetime.fromtimestamp(now / 1000, zone).replace(tzinfo=None) + _SHIFTED
    times = croniter(line, start)
    while True:
        local: datetime = times.get_prev(datetime)
        # Of the two readings of an hour that comes twice, or not at all, it is the earlier.
        read = (local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        yield local, int(min(read)) * 1000
