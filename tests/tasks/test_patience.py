"""For what does an item wait that was turned away?"""

import pytest

from governance.edge import LONGEST_PAUSE_S
from governance.effects import Refused, Stop
from governance.errors import DriverError, Rejected, Unavailable, Unknown
from governance.waits import Later, Wait
from tasks.patience import Patience
from tasks.step import Waiting
from tasks.world import now_ms

HOUR_MS = 3_600_000
NO = Stop("budget", "no room")


@pytest.mark.parametrize(
    ("error", "left_ms", "waits"),
    [
        (Unavailable("m", "busy", 600), HOUR_MS, True),
        (Unavailable("m", "busy", LONGEST_PAUSE_S), HOUR_MS, False),
        (Unavailable("m", "busy"), HOUR_MS, False),
        (Unavailable("m", "busy", 7200), HOUR_MS, False),
        (Unavailable("m", "busy", float("inf")), HOUR_MS, False),
        (Unavailable("m", "busy", 600), None, False),
        (Unknown("m", "lost", 600), HOUR_MS, False),
        (Rejected("m", "no", 600), HOUR_MS, False),
    ],
)
def test_a_moment_is_waited_for_that_is_beyond_a_process_and_within_what_the_item_may_wait(
    error: DriverError, left_ms: int | None, waits: bool
) -> None:
    patience = Patience(left_ms)
    began = now_ms()
    assert isinstance(patience.left_alone(error), Waiting) == waits
    taken = patience.taken()
    assert len(taken) == waits
    for later in taken:
        assert isinstance(later, Later)
        assert 0 <= later.opens - began - 600_000 < 5_000


def test_a_refusal_is_the_end_unless_it_has_room_later() -> None:
    patience = Patience(HOUR_MS)
    assert patience.refused(Refused(NO)) == NO
    wait = Wait("a", "w", 1, 9)
    assert patience.refused(Refused(NO, wait)) == Waiting(wait.said)
    assert (patience.taken(), patience.taken()) == ((wait,), ())
