"""When does a budget that is full have room again?

Pure: told what was drawn on it, and nothing else happens. Times are Unix milliseconds, UTC.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from governance.budgets import BudgetRule
from governance.draws import SLICES, width_of


def rolled_out(
    rule: BudgetRule, slices: Iterable[tuple[int, int]], asked: int, now: int
) -> int | None:
    """When enough has rolled out of a window for so much to fit; None when that is more than all it ever has.

    A slice is the moment it began, and all that is taken in it: settled, unknown and held. `now` when it fits already.
    """
    if asked > rule.cap:
        return None
    width, oldest_first = width_of(rule), sorted(slices)
    taken, opens = sum(amount for _, amount in oldest_first), now
    for began, amount in oldest_first:
        if taken + asked <= rule.cap:
            break
        taken -= amount
        opens = max(now, began + (SLICES + 1) * width)
    return opens


def next_window(rule: BudgetRule, now: int) -> int:
    """When the next calendar day or month begins by the clock of the rule's time zone."""
    zone = ZoneInfo(rule.timezone)
    today = datetime.fromtimestamp(now / 1000, zone).date()
    begins = today + timedelta(days=1)
    if rule.per == "month":
        begins = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    # Where the clock jumps over midnight this is the moment it jumps; where it shows midnight twice, the first.
    midnight = datetime(begins.year, begins.month, begins.day, tzinfo=zone)
    return int(midnight.timestamp() * 1000)
