"""What comes by itself, and this life of an item cannot go on without?"""

import math
from dataclasses import dataclass, field

from governance.edge import LONGEST_PAUSE_S
from governance.effects import Refused, Stop
from governance.errors import DriverError, Unavailable
from governance.waits import Awaited, Later, soonest
from tasks.step import Waiting
from tasks.world import now_ms


@dataclass
class Patience:
    """All that was met so far."""

    left_ms: int | None
    """How long the item may still wait; None for a heartbeat, which waits for nobody."""
    met: list[Awaited] = field(default_factory=list[Awaited])

    def refused(self, refusal: Refused) -> Waiting | Stop:
        """What a refusal means: the end of the work, or a wait for room in a budget."""
        return refusal.stop if refusal.wait is None else self._wait(refusal.wait)

    def left_alone(self, error: DriverError) -> Waiting | None:
        """A wait, where a far side turned us away until a later moment, and the item may wait so long."""
        pause_s = error.retry_after_s or 0
        if not isinstance(error, Unavailable) or pause_s <= LONGEST_PAUSE_S:
            return None
        if self.left_ms is None or pause_s * 1000 > self.left_ms:
            return None
        return self._wait(Later(error.subject, now_ms() + math.ceil(pause_s * 1000)))

    def taken(self) -> tuple[Awaited, ...]:
        """What is to be waited for now; none of it is met any more."""
        met, self.met = self.met, []
        return soonest(met)

    def _wait(self, awaited: Awaited) -> Waiting:
        self.met.append(awaited)
        return Waiting(awaited.said)
