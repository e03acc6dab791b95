"""What must the one memory know of what fires a loop, and of what pauses it?"""

from typing import Literal, Protocol

from governance.breaker import BreakerRow, Ending
from governance.calendar import Beat
from governance.records import PageMoved, RunRow


class Firings(Protocol):
    """The part of the memory that slots, deliveries and the breaker need. Every method is one transaction."""

    async def run_of(self, flow_run: str) -> RunRow | None:
        """The run that a heartbeat's flow run has opened."""
        ...

    # what fires --------------------------------------------------------------
    async def calendar(self, loop: str, calendar: str, *, since: int) -> int:
        """The last slot dealt with; a schedule that is new, or read otherwise than before, begins at `since`."""
        ...

    async def deal_with(self, loop: str, upto: int, *, let_go: bool, now: int) -> None:
        """Slots up to this one are dealt with; audited when older ones were let go."""
        ...

    async def beats(self, loop: str, *, since: int) -> tuple[Beat, ...]:
        """The heartbeats that may have run, or stood in the way of, a slot after `since`."""
        ...

    async def deliver(
        self, loop: str, delivery: str, *, signed: str, payload: str, now: int
    ) -> Literal["taken", "again", "replayed", "other"]:
        """A delivery with its firing in the outbox; else it came before: signed anew, byte for byte, or other."""
        ...

    async def end_stuck(self, now: int) -> tuple[RunRow, ...]:
        """Close the runs whose heartbeat is past its lease, and have its flow run ended by outbox."""
        ...

    # the breaker -------------------------------------------------------------
    async def breaker(self, loop: str) -> BreakerRow | None:
        """The loop's pause that nobody has ended yet."""
        ...

    async def endings(self, loop: str) -> tuple[Ending, ...]:
        """How the closed runs ended, newest first, back to a fruitful one or to when the loop was last let go on."""
        ...

    async def trip(
        self, loop: str, run: str, *, why: str, state: str, seen: int, now: int
    ) -> BreakerRow | PageMoved:
        """Pause the loop: schedules and one notice by outbox, state page, audit. An open pause stays as it is.

        `seen` is the version that the page was composed from, 0 for none.
        """
        ...

    async def switch_off(self, loop: str, nth: int, active: tuple[str, ...]) -> tuple[str, ...]:
        """The schedules that this pause switches off: those active now, or those noted the first time."""
        ...

    async def switched_off(self, loop: str, nth: int) -> tuple[str, ...] | None:
        """The schedules that this pause has switched off; None when nobody noted which."""
        ...

    async def resume(
        self, loop: str, *, by: str, reason: str, state: str, seen: int, now: int
    ) -> BreakerRow | PageMoved | None:
        """Let a paused loop go on, audited; None when it is not paused."""
        ...
