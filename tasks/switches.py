"""Start, end and switch what Prefect fires: heartbeats for deliveries, those that hang, the schedules of a loop."""

from uuid import UUID

from prefect import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Cancelling

from governance.firing import delivery_slot, firing_key
from governance.records import Outgoing
from tasks.world import now_ms

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


async def switch(due: Outgoing) -> None:
    """Pause a loop's schedules, or let them fire again; by hand it cannot fire while it is paused either (T1)."""
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(f"heartbeat/{due.payload['loop']}")
        except ObjectNotFound:
            return
        for schedule in deployment.schedules:
            await client.update_deployment_schedule(
                deployment.id, schedule.id, active=due.kind == "unpause"
            )
