"""What does a failure outside that no try healed end a piece of work as?"""

from governance.approvals import moment
from governance.edge import LONGEST_PAUSE_S
from governance.effects import FARTHEST_S, Stop
from governance.errors import DriverError, Rejected


def ended_by(error: DriverError, now: int) -> Stop:
    """The stop with all that is known of the way out: what was noted on the error, or when to try again."""
    told = (f"{error}".rstrip(". "), *getattr(error, "__notes__", ()))
    if isinstance(error, Rejected):
        return Stop("refused_outside", f"{'. '.join(told)}.")
    pause_s = error.retry_after_s or 0
    if pause_s > FARTHEST_S:
        told += (f"It asks to be left alone for {pause_s / 86_400:,.0f} days",)
    elif pause_s > LONGEST_PAUSE_S:
        # A moment is told in minutes: up, never down.
        told += (f"It asks to be left alone until {moment(now + int(pause_s * 1000) + 59_999)}",)
    return Stop("unavailable", f"{'. '.join(told)}.")
