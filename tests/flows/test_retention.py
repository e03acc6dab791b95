"""Old content goes by itself when the organisation says so; what happened and what it cost is still told."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from drivers.blobs import DirectoryBlobs
from governance.errors import StoreError
from tasks.world import now_ms
from tests.flows.bench import Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("retention")) as running:
        yield running


async def ten_days_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The day's flow, as it would run in ten days."""
    from flows.retention import retention

    monkeypatch.setattr("tasks.retention.now_ms", lambda: now_ms() + 10 * 86_400_000)
    with bench.settings():
        await cast(Any, retention)()


async def test_without_a_word_everything_is_kept_and_with_one_only_the_accounts_stay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("kept", TICKETS, **ONE)
    _, _, (item,) = await bench.heartbeat(TICKETS)
    state, item = await bench.work(item)
    assert state.is_completed()
    before = await bench.loops("trace", item.item)
    entries = await bench.store.entries(item.item)
    blobs = DirectoryBlobs(Path(bench.blobs))
    orphan = await blobs.put(b"of nobody")

    await ten_days_later(bench, monkeypatch)
    assert await bench.store.entries(item.item) == entries
    with pytest.raises(StoreError, match="is missing"):
        await blobs.get(orphan)

    org = Path(os.environ["LOOPRAIL_REGISTRY"]) / "org.yaml"
    org.write_text(f"{org.read_text()}\nretention: {{content: 1w}}\n")
    await ten_days_later(bench, monkeypatch)
    gone = await bench.store.entries(item.item)
    assert [(e.key, e.kind, e.name, e.status) for e in gone] == [
        (e.key, e.kind, e.name, e.status) for e in entries
    ]
    assert {e.result is None for e in gone} == {True}
    after = await bench.loops("trace", item.item)
    assert (after["outcome"], after["stop"]) == (before["outcome"], before["stop"])
    assert {k: v for k, v in after.items() if "cost" in k} == {
        k: v for k, v in before.items() if "cost" in k
    }
