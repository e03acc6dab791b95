"""Begin a heartbeat: one run for one slot, with the definition it is about to follow pinned."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from governance.effects import Refused, Stop
from governance.errors import Damaged
from governance.limits import run_budgets
from governance.parts import short_id
from governance.pinned import Pinned
from tasks.breaker import weigh
from tasks.job import Job, enter
from tasks.outbox import drain
from tasks.slots import Firing, make_up, slot_of
from tasks.watch import watched
from tasks.world import World, now_ms, open_world


@asynccontextmanager
async def begin(
    loop: str, slot: str | None, delivery: str | None, payload: str | None
) -> AsyncGenerator[Job | Stop]:
    """T1: this flow run's run, or why there is none: no slot is due, it is taken or over, or the loop is paused.

    Behind it the loop is weighed by its breaker, and a missed slot that is still to be made up for is sent.
    """
    fired = this_flow_run()
    async with open_world() as world:
        text = world.registry.pinned(loop)
        pinned = Pinned.model_validate_json(text)
        await weigh(world, pinned.loop)
        firing = Firing(str(fired.id), due_at(fired), slot, delivery, payload)
        named = await slot_of(world, pinned.loop, firing)
        if isinstance(named, Stop):
            yield named
        else:
            job = await _open(world, pinned, text, named, firing)
            if isinstance(job, Stop):
                yield job
            else:
                async with watched(job):
                    yield job
        await weigh(world, pinned.loop)
        await make_up(world, pinned.loop)
        await drain(world)


async def _open(world: World, pinned: Pinned, text: str, slot: str, firing: Firing) -> Job | Stop:
    loop = pinned.loop
    definition = await world.store.pin("loop", loop.name, text, by="registry", now=now_ms())
    run = short_id("r", loop.name, slot)
    now = now_ms()
    row = await world.store.open_run(
        run,
        loop=loop.name,
        slot=slot,
        flow_run=firing.flow_run,
        definition=definition,
        budgets=run_budgets(loop, run),
        now=now,
        lease=now + loop.harness.max_minutes * 60_000,
        payload=firing.payload,
        owner=loop.owner,
        team=loop.team,
    )
    if isinstance(row, Refused):
        return row.stop
    if row.flow_run != firing.flow_run:
        return Stop("cancelled", f"slot {slot} is the run of flow run {row.flow_run}")
    if row.status == "closed":
        return Stop("cancelled", f"run {row.run} is closed: {row.summary or 'nothing left'}")
    job = Job(world, pinned, run=row.run, owner=row.run)
    job.definition, job.payload = definition, row.payload
    try:
        job.remember(await world.store.entries(row.run))
    except Damaged as error:
        stop = Stop("damaged", str(error))
        await world.store.end_run(row.run, stop=stop, now=now_ms())
        return stop
    enter(job)
    return job


def this_flow_run() -> FlowRun:
    """The flow run we are in."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def due_at(fired: FlowRun) -> int | None:
    """The moment a schedule meant this firing for; None for one that no schedule made."""
    if not fired.auto_scheduled or fired.expected_start_time is None:
        return None
    return int(fired.expected_start_time.timestamp()) * 1000
