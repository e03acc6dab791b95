"""Begin a heartbeat: one run for one slot, with the definition it is about to follow pinned."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from governance.definition import Trigger
from governance.effects import Stop
from governance.limits import run_budgets
from governance.parts import short_id
from governance.pinned import Pinned
from tasks.job import Job, enter
from tasks.watch import watched
from tasks.world import now_ms, open_world


@asynccontextmanager
async def begin(loop: str, slot: str | None) -> AsyncGenerator[Job | Stop]:
    """T1: this flow run's run, or why there is none: the slot was missed, taken, or is over already."""
    fired = this_flow_run()
    async with open_world() as world:
        text = world.registry.pinned(loop)
        pinned = Pinned.model_validate_json(text)
        named = slot or slot_of(fired)
        if fired.auto_scheduled and (missed := missed_slot(pinned.loop.trigger, named)):
            yield missed
            return
        definition = await world.store.pin("loop", loop, text, by="registry", now=now_ms())
        run = short_id("r", loop, named)
        row = await world.store.open_run(
            run,
            loop=loop,
            slot=named,
            flow_run=str(fired.id),
            definition=definition,
            budgets=run_budgets(pinned.loop, run),
            now=now_ms(),
        )
        if row.flow_run != str(fired.id):
            yield Stop("cancelled", f"slot {named} is the run of flow run {row.flow_run}")
        elif row.status == "closed":
            yield Stop("cancelled", f"run {row.run} is closed: {row.summary or 'nothing left'}")
        else:
            job = Job(world, pinned, run=row.run, owner=row.run)
            job.definition = definition
            job.remember(await world.store.entries(row.run))
            enter(job)
            async with watched(job):
                yield job


def this_flow_run() -> FlowRun:
    """The flow run we are in."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    return context.flow_run


def slot_of(fired: FlowRun) -> str:
    """The schedule's moment for a scheduled firing; a firing by hand is a slot of its own."""
    if fired.auto_scheduled and fired.expected_start_time:
        return fired.expected_start_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"by-hand-{fired.id}"


def missed_slot(trigger: Trigger, slot: str) -> Stop | None:
    """Why a late firing is not made up for: by the loop's own calendar a later slot has begun."""
    if not trigger.schedule:
        return None
    due = datetime.fromisoformat(slot).astimezone(ZoneInfo(trigger.timezone))
    later: datetime = croniter(trigger.schedule, due).get_next(datetime)
    if later.timestamp() * 1000 > now_ms():
        return None
    return Stop("cancelled", f"slot {slot} was missed; trigger.missed is {trigger.missed!r}")
