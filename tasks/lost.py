"""Is this still the Prefect that we knew? Asked only where a flow run is not there."""

from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from tasks.world import World


async def lost(client: PrefectClient, world: World) -> bool:
    """Whether it knows none of the flow runs that kept house last: its database is new, or of a time before them.

    A person deletes a run, or many, but not the ones that looked after everything a minute ago.
    """
    noted = [UUID(flow_run) for flow_run in await world.store.housekeepings()]
    if not noted:
        return False
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=noted))
    return not await client.read_flow_runs(flow_run_filter=wanted, limit=len(noted))
