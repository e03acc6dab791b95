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
        if self.opens is None:
            return "until calls under way end"
        minute = -(-self.opens // MINUTE_MS) * 60
        local = datetime.fromtimestamp(minute, ZoneInfo(self.zone))
        return f"until {local:%Y-%m-%d %H:%M} {self.zone}"

    @property
    def said(self) -> str:
        """What is waited for, and until when."""
        return f"waits for budget {self.budget} {self.until}"


@dataclass(frozen=True)
class Waits:
    """All that one item waits for; the first that comes lets it go on."""

    since: int
    give_up_at: int | None
    """From then on it waits no more, room or not; None for as long as it takes."""
    of: tuple[Wait, ...]

    @property
    def said(self) -> str:
        """What is waited for, and until when."""
        return "; ".join(wait.said for wait in self.of)


def soonest(waits: Sequence[Wait]) -> tuple[Wait, ...]:
    """Each budget once, with the least that is asked of it: that is what lets anything go on."""
    least: dict[tuple[str, str], Wait] = {}
    for wait in sorted(waits, key=lambda w: (w.budget, w.window, w.asked)):
        least.setdefault((wait.budget, wait.window), wait)
    return tuple(least.values())
