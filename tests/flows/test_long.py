"""Is an item that did a long night's work soon back where it waits for a person?"""

import time
from collections.abc import Iterator

import pytest
from prefect import get_client
from prefect.states import Scheduled

from governance.records import ItemRow
from tests.chaos.lives import Lives
from tests.chaos.stories import MANY_LIVES
from tests.flows.bench import Bench
from tests.flows.farside import until

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(400)]

LOOP, STEPS = "ticket-triage", 300
SOON_S = 5.0


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("long")) as running:
        yield running


async def seconds_of_a_life(bench: Bench, item: ItemRow) -> float:
    """From the start of a process, warm as the worker starts one, until the item waits again."""
    with bench.settings():
        async with get_client() as client:
            await client.set_flow_run_state(item.flow_run, Scheduled(), force=True)  # type: ignore[arg-type]
    async with Lives(bench.home / "lives", bench.environment()) as lives:
        began = time.monotonic()
        life = await lives.start("work", item.flow_run, bench.environment())
        waits = lambda: bench.api.flow_run(str(item.flow_run))["state"]["type"] == "PAUSED"  # noqa: E731
        await until("a form", waits)
        took = time.monotonic() - began
        assert await life.ended == 0
    return took


async def test_three_hundred_steps_are_back_at_their_waiting_point_within_five_seconds(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    await bench.begin(
        "long", LOOP, find={"max_items": 1, "arguments": {"state": "all"}}, play={"tickets/v1": "long-haul"},
        harness={**MANY_LIVES, "approvals": {"linear.label_ticket": "pause_for_human"}},
    )  # fmt: skip
    _, _, (item,) = await bench.heartbeat(LOOP)
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Suspended", "waiting"), item.stop
    rows = await bench.ledger(item)
    assert sum(r.kind == "model" for r in rows) == STEPS
    told = len(bench.api.task_runs(str(item.flow_run)))
    asked = bench.bill()

    took = await seconds_of_a_life(bench, item)
    item = await bench.item(item)
    assert (item.status, item.posted_n) == ("waiting", 2)
    with capsys.disabled():
        print(f"\n{STEPS} steps: back at the waiting point after {took:.1f} s")
    assert took < SOON_S
    assert bench.bill() == asked, "no model was asked again"
    assert await bench.ledger(item) == rows
    again = len(bench.api.task_runs(str(item.flow_run))) - told
    assert again <= 1, "only what waits is told to Prefect once more"
