"""What did it all cost? Files for anybody's SQL first, then what Prefect shows of them."""

from prefect import flow

from tasks.analytics import export_ledger, publish_costs
from tasks.names import due
from tasks.world import open_world


@flow(name="analytics", flow_run_name=due("costs up to date"), persist_result=False)
async def analytics() -> None:
    """Export what was settled since the last time, then publish the cost of every loop."""
    async with open_world() as world:
        await export_ledger(world)
        await publish_costs()
