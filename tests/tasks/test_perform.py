"""When is a call tried again, and does Prefect know the moment?"""

import asyncio
from typing import Any, cast

import pytest
from prefect.states import Failed

from governance.edge import LONGEST_PAUSE_S
from governance.errors import Rejected, StoreError, Unavailable, Unknown
from tasks.perform import RETRY_DELAYS_S, _heals


def heals(error: Exception) -> bool:
    return _heals(cast(Any, None), cast(Any, None), Failed(data=error))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (Unavailable("m", "busy"), True),
        (Unavailable("m", "busy", LONGEST_PAUSE_S), True),
        (Unavailable("m", "busy", LONGEST_PAUSE_S + 0.1), False),
        (Unknown("m", "lost"), True),
        (Rejected("m", "401"), False),
        (StoreError("broken"), False),
        (OSError("ours"), False),
    ],
)
def test_only_what_may_heal_within_a_minute_is_tried_again(error: Exception, again: bool) -> None:
    assert heals(error) is again


@pytest.mark.parametrize(
    ("named_s", "pauses"),
    [
        (None, [1, 4, 15, 60]),
        (0, [1, 4, 15, 60]),
        (7.5, [7.5, 7.5, 15, 60]),
        (60, [60, 60, 60, 60]),
    ],
)
def test_the_pause_that_prefect_shows_is_ours_or_the_far_sides_if_longer(
    named_s: float | None, pauses: list[float]
) -> None:
    assert heals(Unavailable("m", "busy", named_s))
    assert [RETRY_DELAYS_S[n] for n in range(4)] == pauses
    assert list(RETRY_DELAYS_S) == [1, 4, 15, 60], "what is told to the server is the plan"
    assert heals(Unavailable("m", "busy"))
    assert RETRY_DELAYS_S[0] == 1, "of one failure, not of the next"


async def test_calls_side_by_side_do_not_take_each_others_moments() -> None:
    async def one(named_s: float) -> list[float]:
        assert heals(Unavailable("m", "busy", named_s))
        await asyncio.sleep(0)
        return [RETRY_DELAYS_S[n] for n in range(2)]

    told = await asyncio.gather(*(one(n) for n in (0, 30, 2)))
    assert told == [[1, 4], [30, 30], [2, 4]]
