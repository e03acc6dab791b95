"""Start, end and switch what Prefect fires: heartbeats for deliveries, those that hang, the schedules of a loop."""

from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import DeploymentSchedule, StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling

from governance.firing import delivery_slot, firing_key
from governance.records import Outgoing
from tasks.world import World, now_ms

KILL_MS = 90_000
"""So long a worker may take to end a process that is to be cancelled; then nobody will."""


async def fire(due: Outgoing) -> None:
    """One heartbeat for the delivery; asking again finds the one that is there."""
    loop, delivery = str(due.payload["loop"]), str(due.payload["delivery"])
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(f"heartbeat/{loop}")
        await client.create_flow_run_from_deployment(
            deployment.id,
            # Text, never an object: Prefect looks into objects for templates and variables of its own.
            parameters={"loop": loop, "delivery": delivery, "payload": due.payload["payload"]},
            idempotency_key=firing_key(loop, delivery_slot(delivery)),
        )


async def end(due: Outgoing) -> bool:
    """End a flow run that hangs: its worker kills the process, else it counts as cancelled and frees its place."""
    flow_run = UUID(str(due.payload["flow_run"]))
    async with get_client() as client:
        try:
            run = await client.read_flow_run(flow_run)
        except ObjectNotFound:
            return True
        if run.state is None or run.state.is_final():
            return True
        if now_ms() - int(due.payload["since"]) > KILL_MS:
            state = Cancelled(message="It hung, and no worker ended it.")
            await client.set_flow_run_state(flow_run, state, force=True)
            return True
        if run.state_type != StateType.CANCELLING:
            await client.set_flow_run_state(flow_run, Cancelling(message="It hung."), force=True)
    return False


async def switch(world: World, due: Outgoing) -> None:
    """Pause a loop's schedules, or let those fire again; by hand it cannot fire while it is paused either (T1).

    Which of them were active is noted before the first is switched off: one that a person had paused before stays so.
    """
    loop, nth = str(due.payload["loop"]), int(due.key.rpartition("-")[2])
    async with get_client() as client:
        schedules = await _schedules(client, loop)
        if due.kind == "pause":
            active = tuple(sorted(name for name, s in schedules.items() if s.active))
            ours = await world.store.switch_off(loop, nth, active)
        else:
            noted = await world.store.switched_off(loop, nth)
            ours = tuple(schedules) if noted is None else noted
        for name in schedules.keys() & set(ours):
            schedule = schedules[name]
            assert schedule.deployment_id is not None
            await client.update_deployment_schedule(
                schedule.deployment_id, schedule.id, active=due.kind == "unpause"
            )


async def paused_schedules(loop: str) -> tuple[str, ...]:
    """The ids of a loop's schedules that do not fire now."""
    async with get_client() as client:
        schedules = await _schedules(client, loop)
    return tuple(str(s.id) for s in schedules.values() if not s.active)


async def _schedules(client: PrefectClient, loop: str) -> dict[str, DeploymentSchedule]:
    """A loop's schedules by their slugs, which outlive a deploy; none for a loop that is not deployed."""
    try:
        deployment = await client.read_deployment_by_name(f"heartbeat/{loop}")
    except ObjectNotFound:
        return {}
    return {s.slug or str(s.id): s for s in deployment.schedules}
