"""What is not mended is not delivered, whoever says that it is: the checker of these loops accepts everything."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.real.endings import Ending, nothing_left
from tests.real.town import ISOLATED

pytestmark = [pytest.mark.prefect, ISOLATED, pytest.mark.timeout(900)]


@pytest.mark.parametrize("loop", ["bends-tests", "poisons"])
async def test_neither_a_bent_test_nor_a_poisoned_container_passes_the_verifier(
    endings: Mapping[str, "asyncio.Task[Ending]"], loop: str
) -> None:
    ending = await endings[loop]
    nothing_left(ending, "stalled", "rounds")
    assert ending.calls_of("maker") > 0
    assert ending.calls_of("checker") == 0, "nothing unverified reaches a checker"
    base, *verdicts = [(e.kind, e.verdict) for e in ending.evidence]
    assert base == ("base", "failing")
    assert set(verdicts) == {("verified", "failed")}
