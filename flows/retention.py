"""What is old enough to go? Once a day: what was said long ago, then the blobs that nothing names any more."""

from prefect import flow

from tasks.names import due
from tasks.perform import JOURNAL
from tasks.retention import forget, sweep_blobs
from tasks.world import open_world


@flow(
    name="retention",
    flow_run_name=due("retention"),
    result_storage=JOURNAL,
    persist_result=False,
)
async def retention() -> None:
    """Forget the content of runs that ended long enough ago, if the organisation says so, then sweep the blobs."""
    async with open_world() as world:
        await forget(world)
        await sweep_blobs(world)
