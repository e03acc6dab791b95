"""A run that waits costs nothing and needs nobody: everything may die meanwhile, and nothing is made twice."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from demo.processes import Process
from demo.world import DemoWorld
from governance.parts import Json
from governance.records import ItemRow
from tests.flows.conftest import Worlds
from tests.flows.farside import bill, boxes, calls, ended, merges, processes_of, requests, until
from tests.flows.registries import registry_with
from tests.flows.telling import told

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(900)]

WAITS = "deliver: github.merge_pull_request"


async def kill(process: Process) -> None:
    """As the machine's power would: nobody is asked, its children go with it."""
    os.killpg(process.pid, signal.SIGKILL)
    await until(f"the end of {process.name}", lambda: not process.alive())


def far_side(world: DemoWorld) -> Json:
    """What others counted: the provider's calls and requests, the forge's calls."""
    charged = bill(world)
    return {
        "calls": charged["calls"],
        "cost": charged["cost_pico_usd"],
        "requests": len(requests(world)),
        "tools": [(c["connector"], c["tool"], c["key"]) for c in calls(world)],
    }


async def test_worker_and_server_die_while_a_run_waits_and_nothing_is_made_twice(
    tmp_path: Path, worlds: Worlds
):
    world = worlds(registry=registry_with(tmp_path / "registry"))
    first = await first_life(world)
    for name in ("worker-0", "prefect"):
        await kill(world.processes[name])
    world.start_prefect()
    world.start_worker("worker-0")
    await second_life(world, *first)


async def first_life(world: DemoWorld) -> tuple[ItemRow, Json, list[Json]]:
    """To the waiting card; the item, what the far side counted, and Prefect's task runs so far."""
    with told(world, "night-fix") as story:
        (item,) = await story.fire(200)

        async def dispatched() -> str | None:
            row = await story.store.item(item.item)
            return row.flow_run if row else None

        flow_run = await until("the dispatch", dispatched)
        following = asyncio.create_task(story.follow((item,), 400))
        worked, boxed = set[int](), set[str]()
        while not following.done():
            worked |= set(processes_of(flow_run))
            boxed |= set(boxes(world))
            await asyncio.sleep(0.5)
        (item,) = await following
        assert item.status == "waiting"
        assert worked, "while it worked, a process carried the flow run"
        assert boxed, "while it worked, it had containers"
        await until("no process of the run", lambda: not processes_of(flow_run), 30)
        assert boxes(world) == []

        def recorded() -> list[Json] | None:
            runs = story.api.task_runs(flow_run)
            last = {r["name"]: r["state_name"] for r in runs}
            return runs if last.get(WAITS) == "Waiting" else None

        runs = await until("Prefect's record of the first life", recorded)
        assert processes_of(flow_run) == []
        return item, far_side(world), runs


async def second_life(world: DemoWorld, item: ItemRow, before: Json, old: list[Json]) -> None:
    """The answer is given to the new server, and only what was still open is done."""
    flow_run = str(item.flow_run)
    with told(world, "night-fix") as story:
        assert story.api.flow_run(flow_run)["state"]["name"] == "Suspended"
        ledger = await story.store.ledger(item=item.item)
        (card,) = await story.store.cards(item=item.item)
        story.approve(item, (card,))
        done = await ended(story, item)
        assert (done.status, done.stop) == ("done", None)
        assert (done.state, done.tree) == (item.state, item.tree)
        assert done.tree == card.tree

        after = far_side(world)
        assert {k: after[k] for k in ("calls", "cost", "requests")} == {
            k: before[k] for k in ("calls", "cost", "requests")
        }
        assert after["tools"] == [*before["tools"], ("github", "merge_pull_request", card.key)]
        (merge,) = merges(world)
        assert merge["key"] == card.key
        keyed = [c["key"] for c in calls(world) if c["key"]]
        assert len(set(keyed)) == len(keyed)
        assert not any(c["replayed"] for c in calls(world))

        rows = await story.store.ledger(item=item.item)
        assert {r.attempt for r in rows} == {1}
        assert {r.status for r in rows} == {"done"}
        assert [r.key for r in rows[: len(ledger)]] == [r.key for r in ledger]
        assert [r.key for r in rows[len(ledger) :]] == [card.key]
        assert all(e.attempts <= 1 for e in await story.store.entries(item.item))

        known = {r["id"] for r in old}

        def recorded() -> list[Json] | None:
            new = [r for r in story.api.task_runs(flow_run) if r["id"] not in known]
            return new if any(r["name"] == "close: done" for r in new) else None

        new = await until("Prefect's record of the second life", recorded)
        assert [r["name"] for r in new] == [WAITS, "close: done"], "the rest is on record"
