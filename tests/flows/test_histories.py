"""Whatever an item of any release has done, the flows of today give it back, ask for nothing else, and end as it did."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from prefect import get_client

from drivers.blobs import DirectoryBlobs
from governance.conversation import ToolSpec
from governance.parts import Json, digest
from governance.records import ItemRow
from tasks.world import World
from tests.flows.bench import Bench
from tests.flows.farside import until
from tests.histories.history import History, put_back, read, saved

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Prefect 3.8.8 leaves a socket to its server open when a flow is suspended within a process that lives on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("histories")) as running:
        yield running


class Described:
    """A connector that says what it offered then, and cannot be called."""

    def __init__(self, specs: tuple[ToolSpec, ...]) -> None:
        self._specs = specs

    async def tools(self) -> tuple[ToolSpec, ...]:
        return self._specs

    async def call(self, tool: str, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError(f"a replay called {tool}")


def out_of_reach(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model, no sandbox, no repository; of a connector its descriptions."""

    async def connector(world: World, name: str) -> Described:
        return Described(history.specs(name))

    async def nothing(world: World, *named: str) -> NoReturn:
        raise AssertionError(f"a replay reached for {named or 'a sandbox'}")

    for port in ("model", "repository", "sandbox"):
        monkeypatch.setattr(World, port, nothing)
    monkeypatch.setattr(World, "connector", connector)


async def taken_up(bench: Bench, history: History, name: str) -> tuple[ItemRow, str]:
    """The item put into a store of its own, and its flow run over."""
    await bench.begin(name, history.loop)
    shutil.rmtree(bench.registry)
    for path, text in history.registry.items():
        file = bench.registry / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert await bench.store.runs() == ()
    blobs = DirectoryBlobs(Path(bench.blobs))
    for noted, text in history.bodies.items():
        assert await blobs.put(text.encode()) == noted
    told = {"loop": history.loop, "item": history.item, "title": history.story}
    with bench.settings():
        async with get_client() as client:
            deployment = await client.read_deployment_by_name(f"work/{history.loop}")
            run = await client.create_flow_run_from_deployment(deployment.id, parameters=told)
    put_back(history, bench.home / name / "store.db", str(run.id))
    item = await bench.store.item(history.item)
    assert item is not None
    _, item = await bench.work(item)
    return item, str(run.id)


@pytest.mark.parametrize("file", saved(), ids=lambda f: f"{f.parent.name}-{f.stem}")
async def test_a_recorded_item_replays_through_the_flows_of_today(
    bench: Bench, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = read(file)
    out_of_reach(history, monkeypatch)
    item, flow_run = await taken_up(bench, history, f"{history.version}-{history.story}")

    ended = history.ended
    assert (item.status, item.stop and item.stop.reason) == (ended["status"], ended["stop"])
    assert item.outcome == ended["outcome"]
    assert sorted(c.card for c in await bench.store.cards(item=item.item)) == ended["cards"]

    entries = await bench.store.entries(item.item)
    assert sorted(e.key for e in entries) == sorted(r["key"] for r in history.tables["journal"])
    assert len(await bench.store.ledger(item=item.item)) == len(history.tables["ledger"])
    done = [r for r in history.tables["journal"] if r["status"] == "done"]
    now = {e.key: digest(e.result) for e in entries}
    assert {r["key"]: r["result_digest"] for r in done} == {r["key"]: now[r["key"]] for r in done}

    last = "close: done" if ended["status"] == "done" else "Waiting"

    def reported() -> list[Json] | None:
        runs = bench.api.task_runs(flow_run)
        return runs if any(last in (r["name"], r["state_name"]) for r in runs) else None

    runs = await until("Prefect's record of the replay", reported)
    made = [r["name"] for r in runs if r["state_name"] != "Waiting"]
    assert made == (["close: done"] if ended["status"] == "done" else []), (
        "what is on record needs no task run"
    )


def test_every_release_has_histories_of_each_kind_of_loop() -> None:
    stories = {f.stem for f in saved()}
    assert {"fix-to-the-merge-card", "ticket-to-its-end", "delegates-to-the-merge-card"} <= stories
    assert all(read(f).ended["status"] in ("done", "waiting") for f in saved())
