"""Is the ledger what the provider billed? Several times a day, for the days whose report is final."""

from prefect import flow

from tasks.names import due
from tasks.perform import JOURNAL
from tasks.reconcile import reconcile_bill
from tasks.world import open_world


@flow(
    name="reconcile",
    flow_run_name=due("reconciliation"),
    result_storage=JOURNAL,
    persist_result=False,
)
async def reconcile() -> None:
    """Compare the ledger with the usage report by model and day; resolve what it explains, show what nothing does."""
    async with open_world() as world:
        await reconcile_bill(world)
