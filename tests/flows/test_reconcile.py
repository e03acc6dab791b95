"""The flow compares the ledger with the provider's own report, resolves what is unknown, and shows the rest."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from pydantic import SecretStr

from blocks import UsageReport
from governance.parts import usd
from tasks.notices import _words  # pyright: ignore[reportPrivateUsage]
from tasks.reconcile import TABLE_KEY
from tasks.world import now_ms, open_world
from tests.flows.bench import ADMIN_KEY, Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS = "ticket-triage"
MODEL = "claude-sonnet-4-6"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("reconcile")) as running:
        yield running


async def three_days_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    """The flow, as it would run in three days; what its one task run says."""
    from flows.reconcile import reconcile

    monkeypatch.setattr("tasks.reconcile.now_ms", lambda: now_ms() + 3 * 86_400_000)
    with bench.settings():
        state = await cast(Any, reconcile)(return_state=True)
    assert state.is_completed()
    flow_run = str(state.state_details.flow_run_id)
    until = time.monotonic() + 60
    while True:
        # Prefect writes what a task run came to a moment after it has ended.
        (run,) = bench.api.task_runs(flow_run)
        if run["state"] is not None and run["state"]["type"] == "COMPLETED":
            return str(run["state"]["message"])
        assert time.monotonic() < until, run
        await asyncio.sleep(0.2)


def strangers_call(bench: Bench) -> None:
    """Somebody else uses the same key."""
    body = {"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}]}
    headers = {"x-api-key": bench.keys.model}
    httpx.post(f"{bench.model_url}/v1/messages", json=body, headers=headers).raise_for_status()


async def shown(bench: Bench) -> list[dict[str, str]]:
    """The table as Prefect shows it."""
    with bench.settings():
        async with get_client() as client:
            wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[TABLE_KEY]))
            (table,) = await client.read_latest_artifacts(artifact_filter=wanted)
    return json.loads(str(table.data))


async def test_a_night_with_lost_answers_is_reconciled_and_a_seeded_difference_is_told_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("night", TICKETS, **ONE)
    _, _, (item,) = await bench.heartbeat(TICKETS)
    bench.faults({"path": "/v1/messages", "kind": "malformed"})
    await bench.work(item)
    rows = await bench.store.ledger()
    lost = [r for r in rows if r.status == "unknown"]
    assert len(lost) == 1
    bill = bench.bill()["cost_pico_usd"]
    before = sum(r.cost or 0 for r in rows)
    assert before < bill <= before + lost[0].reserved
    run = f"run:{lost[0].place.run}:usd"
    held = await bench.store.budget(run, lost[0].place.run)
    assert held is not None
    assert (held.unknown, held.held) == (lost[0].reserved, 0)

    assert "no report is connected" in await three_days_later(bench, monkeypatch)
    block = UsageReport(base_url=bench.model_url, admin_key=SecretStr(ADMIN_KEY))
    await bench.save("looprail", block)
    assert "the one unknown call billed" in await three_days_later(bench, monkeypatch)
    after = await bench.store.budget(run, lost[0].place.run)
    assert after is not None
    assert (after.spent, after.unknown, after.held) == (bill, 0, 0)
    assert sum(r.cost or 0 for r in await bench.store.ledger()) == bill
    assert await three_days_later(bench, monkeypatch) == "nothing to do"

    strangers_call(bench)
    extra = bench.bill()["cost_pico_usd"] - bill
    for _ in range(2):
        assert "unexplained" in await three_days_later(bench, monkeypatch)
    assert await bench.store.budget(run, lost[0].place.run) == after
    (due,) = [d for d in await bench.store.outbox() if d.payload.get("kind") == "bill"]
    with bench.settings():
        async with open_world() as world:
            told = await _words(world, due)
    assert told is not None
    assert "is not what the ledger holds" in told[0]
    assert f"Billed beyond our calls: {usd(extra):+f} USD" in told[1]
    lines = [line for line in await shown(bench) if line["state"] == "unexplained"]
    assert [(line["model"], line["unexplained USD"]) for line in lines] == [
        (MODEL, f"{usd(extra):+f}")
    ]
