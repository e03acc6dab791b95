"""What must happen although no loop fires: send what is due, wake who may go on, sweep what was left behind."""

from prefect import flow

from tasks.housekeeping import keep_store, send_due, sweep_boxes
from tasks.missed import keep_beats
from tasks.names import due
from tasks.world import open_world


@flow(name="housekeeping", flow_run_name=due("housekeeping"), persist_result=False)
async def housekeeping() -> None:
    """Expire cards, settle what nobody will settle any more, keep heartbeats coming, remove dead boxes, send."""
    async with open_world() as world:
        await keep_store(world)
        await keep_beats(world)
        await sweep_boxes(world)
        await send_due(world)
