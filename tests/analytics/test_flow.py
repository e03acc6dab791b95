"""The hourly flow leaves the lake up to date, and the cost of every loop where people of Prefect look."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from analytics.cost import cost_report
from analytics.lake import Lake
from cli.store import open_cli_store
from governance.parts import usd
from tests.analytics.golden import tell_all

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    # Prefect 3.8.8 leaves sockets to its server open when the test server ends.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_the_flow_exports_and_publishes_from_the_store_in_the_block(
    server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from blocks import StoreDatabase
    from flows.analytics import analytics

    monkeypatch.setenv("LOOPRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LOOPRAIL_STORE_URL", raising=False)
    monkeypatch.delenv("LOOPRAIL_BLOBS", raising=False)
    url, blobs = f"sqlite://{tmp_path}/store.db", str(tmp_path / "blobs")
    StoreDatabase(url=url, blobs=blobs).save("looprail")
    store = open_cli_store().store
    ledger = asyncio.run(tell_all(store))  # type: ignore[arg-type]

    asyncio.run(analytics())

    async def names() -> list[str]:
        async with get_client() as client:
            return [str(run.name) for run in await client.read_flow_runs()]

    (name,) = asyncio.run(names())
    assert re.fullmatch(r"costs up to date, \d{4}-\d\d-\d\d \d\d:\d\d UTC", name)

    exact = usd(sum(row.cost or 0 for row in ledger))
    assert cost_report(Lake(tmp_path / "home" / "lake"), "loop").total["cost_usd"] == exact > 0

    async def artifacts() -> dict[str, str]:
        wanted = ArtifactFilter(key=ArtifactFilterKey(like_="loops-cost%"))
        async with get_client() as client:
            found = await client.read_artifacts(artifact_filter=wanted)
        return {str(artifact.key): str(artifact.data) for artifact in found}

    shown = asyncio.run(artifacts())
    assert set(shown) == {"loops-cost", "loops-cost-report"}
    lines = json.loads(shown["loops-cost"])
    assert [line["loop"] for line in lines] == ["night-fix", "ticket-triage", "total"]
    assert lines[-1] == {
        "loop": "total", "cost USD": str(exact), "model calls": "11", "unpriced": "1", "undeclared": "0",
        "unknown": "1", "accepted": "1", "USD per accepted": "0.297257",
    }  # fmt: skip
    page = shown["loops-cost-report"]
    assert page.startswith("## Cost by loop, computed, not reconciled\n")
    assert "| `ticket-triage` | `0.004542` | `2` | `1` | `0` | `0` | `0` | `none` |" in page
    assert "1 call whose outcome nobody knows: at most 0.25 USD more." in page
