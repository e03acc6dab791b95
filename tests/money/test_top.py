"""While fifty callers spend, how far behind is what `loops top` shows?"""

import pytest

from tests.money.rounds import TOP_S, Stage, far_behind, wrong
from tests.money.watching import watching

pytestmark = pytest.mark.slow


async def test_loops_top_is_at_most_five_seconds_behind_and_shows_no_budget_beyond_its_cap(
    on: Stage,
) -> None:
    with watching(on.url, on.blobs) as watch:
        for seed in (40_000, 40_001, 40_002):
            seen = await on.tell(seed)
            assert wrong(seen) == []
            assert await far_behind(watch, f"run:r{seed}:usd", seen) <= TOP_S
        assert watch.past() == []


async def test_what_is_behind_is_measured_from_when_the_store_knew_more(on: Stage) -> None:
    with watching(on.url, on.blobs) as watch:
        seen = await on.tell(41_000, kill=False)
        await watch.caught_up("run:r41000:usd", seen.end.spent)
    late = [(at + 60, told) for at, told in watch.lines]
    assert len(seen.passed) > 1
    watch.lines = late
    assert 60 < watch.behind("run:r41000:usd", seen.passed) < 60 + TOP_S
