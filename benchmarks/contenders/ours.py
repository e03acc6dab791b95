"""Looprail's own steps: the product's `converse` over its own tasks, store, edge and drivers.

The flow takes a real item (T3) and stops short of closing it, so that it can be taken up again for the replay.
"""

import time
from dataclasses import dataclass
from uuid import UUID

from prefect import flow, get_client
from prefect.flow_engine import run_flow_async
from prefect.states import Scheduled

from benchmarks.contenders.assignment import WARM_STEPS, Assignment, Report, brief, serve
from benchmarks.meter import Meter
from flows.converse import converse
from governance.effects import Stop
from governance.limits import item_budgets, run_budgets
from governance.parts import short_id
from governance.pinned import Pinned
from governance.records import Finding
from tasks.lane import Said
from tasks.lanes import lead
from tasks.life import take
from tasks.perform import JOURNAL
from tasks.world import now_ms, open_world

LOOP = "looks"


@dataclass
class Watch:
    """When the first step began, as the flow saw it."""

    meter: Meter
    measures: bool = False
    fixed_ms: float = 0.0


WATCH: list[Watch] = []


@flow(name="looks", result_storage=JOURNAL, persist_result=False)
async def looks(item: str, conversations: int) -> None:
    """All conversations of one item, each a lane of its own."""
    began = time.process_time()
    async with take(item) as job:
        assert not isinstance(job, Stop), job
        watch = WATCH[0]
        watch.fixed_ms = 1000 * (time.process_time() - began)
        if watch.measures:
            watch.meter.begin()
        for n in range(conversations):
            lane = lead(job, None)
            lane.name = f"lead-{n}"
            said = await converse(lane)
            assert isinstance(said, Said), said


async def put_in_inbox(name: str, steps: int) -> str:
    """An item as a heartbeat would have found it."""
    async with open_world() as world:
        text = world.registry.pinned(LOOP)
        loop, run = Pinned.model_validate_json(text).loop, short_id("r", LOOP, name)
        definition = await world.store.pin("loop", LOOP, text, by="registry", now=now_ms())
        await world.store.open_run(
            run, loop=LOOP, slot=name, flow_run=name, definition=definition,
            budgets=run_budgets(loop, run), now=now_ms(),
        )  # fmt: skip
        finding = Finding(name, name, brief(steps), None)
        (row,) = await world.store.found(
            run, ((short_id("i", LOOP, name, run), finding),), definition=definition,
            budgets=item_budgets(loop, run), state=None, summary="one", now=now_ms(),
        )  # fmt: skip
        return row.item


async def work(item: str, conversations: int, flow_run: UUID | None = None) -> UUID:
    """Run the item's flow run as a worker's process does; the flow run."""
    parameters = {"item": item, "conversations": conversations}
    async with get_client() as client:
        if flow_run is None:
            made = await client.create_flow_run(looks, parameters=parameters)
        else:
            await client.set_flow_run_state(flow_run, Scheduled(), force=True)
            made = await client.read_flow_run(flow_run)
    await run_flow_async(looks, flow_run=made, parameters=parameters)
    return made.id


async def contend(told: Assignment, meter: Meter) -> Report:
    """Warm up, measure, and measure again when everything comes from the journal."""
    watch = Watch(meter)
    WATCH.append(watch)
    await work(await put_in_inbox(f"warm-{told.home}", WARM_STEPS), 1)
    item = await put_in_inbox(f"run-{told.home}", told.steps)
    await meter.settle()
    watch.measures = True
    flow_run = await work(item, told.conversations)
    fixed = watch.fixed_ms
    fresh = await meter.end(told.all_steps)
    await work(item, told.conversations, flow_run)
    replay = await meter.end(told.all_steps)
    return Report(fresh, replay, fixed, watch.fixed_ms)


if __name__ == "__main__":
    serve(contend)
