"""The store is on Postgres: does an item go its way there, and does it when every connection is cut under it?"""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from blocks import McpServer
from drivers.store import store_at
from tests.drivers.store.homes import Cluster, cluster_of_its_own, told
from tests.flows.bench import Bench
from tests.flows.farside import calls
from tests.flows.wire import Wire, wire_to

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Prefect 3.8.8 leaves a socket to its server open when a flow is suspended within a process that lives on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOOP = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'looprail'"


class OnPostgres(Bench):
    """The world whose store is in a database."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        super().__init__(home)
        self._url = cluster.make()

    @property
    def store_url(self) -> str:
        return self._url

    def cut(self) -> None:
        """Every connection to the store ends, as when its server is restarted."""
        assert told(self._url, CUT)


@pytest.fixture
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPostgres]:
    with (
        cluster_of_its_own() as cluster,
        OnPostgres(tmp_path_factory.mktemp("on-postgres"), cluster) as running,
    ):
        yield running
        store_at(running.store_url, running.blobs).disconnect()


@pytest.fixture
async def wire(bench: OnPostgres) -> AsyncGenerator[Wire]:
    """The wire to the tickets."""
    async with wire_to(f"{bench.forge_url}/linear/mcp") as made:
        await bench.save("linear", McpServer(url=made.url, token=SecretStr(bench.keys.forge)))
        yield made


async def test_an_item_goes_its_way_on_postgres_whose_connections_are_cut_between_its_lives(
    bench: OnPostgres, wire: Wire
) -> None:
    await bench.begin("cut", LOOP, **ONE)
    wire.cuts["comment_ticket"] = "after"
    _, _, (item,) = await bench.heartbeat(LOOP)
    bench.cut()
    state, item = await bench.work(item)
    assert state.is_paused(), (state, item.stop)
    (card,) = await bench.store.cards(item=item.item)
    assert (card.kind, card.tool) == ("in_doubt", "linear.comment_ticket")
    bench.cut()
    form = {
        f"card_{card.card}": "it happened", f"result_{card.card}": "", "approver": "noor", "reason": "seen",
    }  # fmt: skip
    assert bench.api.resume(str(item.flow_run), form)["status"] == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    assert len(calls(bench, key=card.key)) == 1, "it was not made again"
    rows = await bench.ledger(item)
    settled = sum(r.cost or 0 for r in await bench.store.ledger(run=item.run))
    assert settled == bench.bill()["cost_pico_usd"]
    assert {r.status for r in rows} <= {"done", "unknown"}
