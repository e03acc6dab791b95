"""What does work wait for that comes by itself, and how is that told?

Times are Unix milliseconds, UTC; amounts are in the unit that the budget's name ends in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

MINUTE_MS = 60_000


@dataclass(frozen=True)
class Wait:
    """A budget that has no room now and surely will have some."""

    budget: str
    window: str
    asked: int
    """The room that is wanted."""
    opens: int | None
    """When a window opens that has it, if nothing else changes; None when only calls under way can make room."""
    held: bool = False
    """Calls under way hold it, and it may come as soon as they end."""
    zone: str = "UTC"
    """Whose midnight that is."""

    def soon(self, by: int) -> bool:
        """Whether there may be room by that moment."""
        return self.held or (self.opens is not None and self.opens <= by)

    @property
    def until(self) -> str:
        """When it is over, as people read it; never too early."""
        return "until calls under way end" if self.opens is None else _until(self.opens, self.zone)

    @property
    def said(self) -> str:
        """What is waited for, and until when."""
        return f"waits for budget {self.budget} {self.until}"


@dataclass(frozen=True)
class Later:
    """A far side that wants to be left alone until a moment it has named."""

    subject: str
    opens: int

    @property
    def until(self) -> str:
        """When it is over, as people read it; never too early."""
        return _until(self.opens, "UTC")

    @property
    def said(self) -> str:
        """Who is waited for, and until when."""
        return f"waits for {self.subject} {self.until}"


Awaited = Wait | Later
"""Whatever comes by itself."""


def _until(moment: int, zone: str) -> str:
    minute = -(-moment // MINUTE_MS) * 60
    local = datetime.fromtimestamp(minute, ZoneInfo(zone))
    return f"until {local:%Y-%m-%d %H:%M} {zone}"


@dataclass(frozen=True)
class Waits:
    """All that one item waits for; the first that comes lets it go on."""

    since: int
    give_up_at: int | None
    """From then on it waits no more, whatever came; None for as long as it takes."""
    of: tuple[Awaited, ...]

    @property
    def budgets(self) -> tuple[str, ...]:
        """The budgets among it."""
        return tuple(wait.budget for wait in self.of if isinstance(wait, Wait))

    @property
    def said(self) -> str:
        """What is waited for, and until when."""
        return "; ".join(wait.said for wait in self.of)


def soonest(waits: Sequence[Awaited]) -> tuple[Awaited, ...]:
    """Each budget and each far side once, with what is had first: that is what lets anything go on."""
    rooms = sorted(
        (w for w in waits if isinstance(w, Wait)), key=lambda w: (w.budget, w.window, w.asked)
    )
    moments = sorted((w for w in waits if isinstance(w, Later)), key=lambda w: (w.subject, w.opens))
    found: dict[tuple[str, ...], Awaited] = {}
    for room in rooms:
        found.setdefault((room.budget, room.window), room)
    for later in moments:
        found.setdefault((later.subject,), later)
    return tuple(found.values())
