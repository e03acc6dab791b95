"""No maker is paid where nothing could be established: the ledger has no model call by one."""

import pytest

from demo.world import DemoWorld
from tests.real.telling import Ending, ending_of, nothing_left, refs

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(500)]


async def unpaid(world: DemoWorld, loop: str, reason: str, verdict: str) -> Ending:
    """The loop's item at its end: stopped for this reason by the base alone, and nobody's model was asked."""
    before = refs(world)
    ending = await ending_of(world, loop)
    nothing_left(world, ending, before)
    assert ending.item.stop is not None
    assert ending.item.stop.reason == reason
    assert [row for row in ending.ledger if row.kind == "model"] == []
    assert [row.name for row in ending.ledger] == ["verify base"]
    assert sum(row.cost or 0 for row in ending.ledger) == 0
    assert {(e.kind, e.verdict) for e in ending.evidence} <= {("base", verdict)}
    return ending


@pytest.mark.parametrize(
    ("loop", "said"),
    [
        ("setup-fails", "no-such-folder"),
        ("setup-hangs", "'sleep 3600' was ended by timeout"),
        ("no-command", "exit code 127"),
        ("no-module", "module 'pytest' is missing"),
    ],
)
async def test_a_broken_environment_stops_before_the_first_maker_and_says_so(
    world: DemoWorld, loop: str, said: str
) -> None:
    ending = await unpaid(world, loop, "environment_broken", "broken")
    assert ending.item.stop is not None
    assert said in ending.item.stop.detail


@pytest.mark.parametrize(
    ("loop", "said"),
    [("green", "passes on the untouched base"), ("fails-otherwise", "not as reported")],
)
async def test_a_finding_that_is_not_there_is_no_reason_to_pay_a_maker(
    world: DemoWorld, loop: str, said: str
) -> None:
    ending = await unpaid(world, loop, "not_reproduced", "passing")
    assert ending.item.stop is not None
    assert said in ending.item.stop.detail
