"""What is to become of open work, given what Prefect says of its flow run?

Pure: `now` is a value. A flow run that has ended while its item or heartbeat is still open has lost its process; it
is started once more, until too many processes have died over it. What a person cancelled or deleted ends.
"""

from dataclasses import dataclass
from typing import Literal

from governance.effects import Stop

FlowState = Literal[
    "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "CANCELLED", "COMPLETED", "FAILED", "CRASHED"
]  # fmt: skip
"""Prefect's types of states."""

SETTLED_MS = 60_000
"""A state younger than this is left alone: Prefect's worker reports one crash twice, up to 17 s apart."""
SILENCE_MS = 180_000
"""So long a process may give no sign of life; it gives one every 30 s, and a busy server loses some."""
STUCK_MS = 300_000
"""So long a worker may take from having picked a run up to its process, or to end what was cancelled."""

_OVER = ("COMPLETED", "FAILED", "CRASHED")


@dataclass(frozen=True)
class Handed:
    """Open work that was handed to a flow run: an item, or a heartbeat before it has put anything in the inbox."""

    owner: str
    loop: str
    definition: str
    flow_run: str
    status: Literal["found", "working", "waiting", "heartbeat"]
    life: int
    epoch: int
    """Forms posted so far."""
    restarts: int
    """Times its flow run was started again since the last form."""
    acted_at: int | None
    """When its newest try began or ended."""
    stop: Stop | None
    needs_form: bool = True
    """Whether it waits for people: for what comes by itself its flow run is suspended without a form."""


@dataclass(frozen=True)
class Seen:
    """A flow run as Prefect has it. `state` is the id of the state itself, so that one ending is judged once."""

    state: str
    type: FlowState
    since: int
    message: str = ""
    heard: int | None = None
    """When its process was last heard of, if that was asked."""
    has_form: bool = True
    """Whether the form of a suspended run was saved; a process may die between the two."""


@dataclass(frozen=True)
class Restart:
    """Its flow run is to be started once more, and why. `key` names this one ending."""

    key: str
    why: str


def restart_prefix(owner: str, epoch: int) -> str:
    """How the names of all restarts since the last good end of a life begin."""
    return f"{owner}-{epoch}-"


def care_of(work: Handed, seen: Seen | None, *, max_lives: int, now: int) -> Restart | Stop | None:
    """What to do: start it again, end it for a reason, or nothing."""
    if seen is None:
        return Stop(
            "cancelled", f"flow run {work.flow_run!r} is not in Prefect any more; it was deleted"
        )
    age = now - seen.since
    if seen.type == "CANCELLED" or (seen.type == "CANCELLING" and age > STUCK_MS):
        said = f": {seen.message}" if seen.message else ""
        return Stop("cancelled", f"flow run {work.flow_run!r} was cancelled in Prefect{said}")
    why = _lost(work, seen, now)
    if why is None:
        return None
    if work.stop is not None and work.stop.reason in ("lives", "cancelled"):
        return work.stop
    return _too_often(work, why, max_lives) or Restart(
        f"{restart_prefix(work.owner, work.epoch)}{seen.state}", why
    )


def silent(work: Handed, seen: Seen, now: int) -> bool:
    """Whether a run that counts as running has given no sign of life for too long: state, heartbeat, or effect."""
    last = max(seen.since, seen.heard or 0, work.acted_at or 0)
    return seen.type == "RUNNING" and now - last > SILENCE_MS


def _lost(work: Handed, seen: Seen, now: int) -> str | None:
    """Why nobody works on it any more, or None."""
    age = now - seen.since
    if age <= SETTLED_MS:
        return None
    if seen.type in _OVER:
        said = f": {seen.message}" if seen.message else ""
        return f"its flow run ended as {seen.type.lower()} before it was done{said}"
    if silent(work, seen, now):
        return f"its process gave no sign of life for {SILENCE_MS // 1000} s"
    if seen.type == "PAUSED" and work.status == "waiting" and work.needs_form and not seen.has_form:
        return "its flow run is suspended without a form that a person could answer"
    if seen.type == "PENDING" and age > STUCK_MS:
        return f"a worker picked its flow run up {age / 1000:,.0f} s ago and started no process"
    return None


def _too_often(work: Handed, why: str, max_lives: int) -> Stop | None:
    tried = max(work.life, work.restarts)
    if tried < max_lives:
        return None
    return Stop(
        "lives",
        f"{work.owner!r} was taken up {tried:,} of {max_lives:,} times and no process finished it; "
        f"the last time {why}. Look at why they died, or raise harness.max_lives for later runs.",
    )
