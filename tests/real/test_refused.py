"""What is not mended is not delivered, whoever says that it is: the checker of these loops accepts everything."""

import pytest

from demo.world import DemoWorld
from tests.real.telling import ending_of, nothing_left, refs

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(500)]


@pytest.mark.parametrize("loop", ["bends-tests", "poisons"])
async def test_neither_a_bent_test_nor_a_poisoned_container_passes_the_verifier(
    world: DemoWorld, loop: str
) -> None:
    before = refs(world)
    ending = await ending_of(world, loop)
    nothing_left(world, ending, before)
    assert ending.item.stop is not None
    assert ending.item.stop.reason in ("stalled", "rounds")
    assert ending.calls_of("maker") > 0
    assert ending.calls_of("checker") == 0, "nothing unverified reaches a checker"
    base, *verdicts = [(e.kind, e.verdict) for e in ending.evidence]
    assert base == ("base", "failing")
    assert set(verdicts) == {("verified", "failed")}
