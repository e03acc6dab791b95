"""No maker is paid where nothing could be established: the ledger has no model call by one."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.real.endings import Ending, nothing_left
from tests.real.town import ISOLATED

pytestmark = [pytest.mark.prefect, ISOLATED, pytest.mark.timeout(900)]
Endings = Mapping[str, "asyncio.Task[Ending]"]


def unpaid(ending: Ending, verdict: str) -> None:
    """Stopped by the base alone: one sandbox effect on the ledger, and no model was asked."""
    assert [(row.kind, row.name) for row in ending.ledger] == [("sandbox", "verify base")]
    assert ending.calls_of("maker") == 0
    assert sum(row.cost or 0 for row in ending.ledger) == 0
    assert [(e.kind, e.verdict) for e in ending.evidence] == [("base", verdict)]


@pytest.mark.parametrize(
    ("loop", "said"),
    [
        ("setup-fails", "no-such-folder"),
        ("no-command", "exit code 127"),
        ("no-module", "module 'pytest' is missing"),
        ("setup-hangs", "'sleep 3600' was ended by timeout"),
    ],
)
async def test_a_broken_environment_stops_before_the_first_maker_and_says_so(
    endings: Endings, loop: str, said: str
) -> None:
    ending = await endings[loop]
    assert said in nothing_left(ending, "environment_broken")
    unpaid(ending, "broken")


@pytest.mark.parametrize(
    ("loop", "said"),
    [("green", "passes on the untouched base"), ("fails-otherwise", "not as reported")],
)
async def test_a_finding_that_is_not_there_is_no_reason_to_pay_a_maker(
    endings: Endings, loop: str, said: str
) -> None:
    ending = await endings[loop]
    assert said in nothing_left(ending, "not_reproduced")
    unpaid(ending, "passing")
