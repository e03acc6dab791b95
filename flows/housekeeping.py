"""What must happen although no loop fires: expire, recover, sweep what was left behind, send what is due."""

from prefect import flow

from tasks.housekeeping import keep_meter, keep_store, recover, send_due, sweep_boxes
from tasks.missed import keep_beats
from tasks.names import due
from tasks.perform import JOURNAL
from tasks.world import open_world


@flow(
    name="housekeeping",
    flow_run_name=due("housekeeping"),
    result_storage=JOURNAL,
    persist_result=False,
)
async def housekeeping() -> None:
    """Expire cards, start again what lost its process, keep heartbeats coming, remove dead boxes, send, show the meter."""
    async with open_world() as world:
        await keep_store(world)
        await recover(world)
        await keep_beats(world)
        await sweep_boxes(world)
        await send_due(world)
        await keep_meter(world)
