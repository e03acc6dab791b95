"""One firing of a loop: look, find, put in the inbox, hand out. It never waits."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.converse import converse
from governance.effects import Stop
from governance.errors import Damaged, Diverged
from governance.records import Finding, ItemRow
from tasks.beat import begin
from tasks.inbox import findings_in, look, put_in_inbox, whole_loop
from tasks.job import Job
from tasks.lane import Said
from tasks.lanes import finder, known, whole_brief
from tasks.perform import JOURNAL
from tasks.report import ended, report


@flow(
    name="heartbeat",
    flow_run_name="{loop}: heartbeat",
    result_storage=JOURNAL,
    persist_result=False,
)
async def heartbeat(
    loop: str, slot: str | None = None, delivery: str | None = None, payload: str | None = None
) -> State[None]:
    """Open the run of this slot or delivery, find what is worth an agent's time, and dispatch what is new."""
    async with begin(loop, slot, delivery, payload) as job:
        if isinstance(job, Stop):
            return ended(job)
        came = await attempt(job)
        if isinstance(came, Stop):
            return await report(job, 0, came)
        return await report(job, len(came), None)


async def attempt(job: Job) -> tuple[ItemRow, ...] | Stop:
    """What is new in the inbox. A record that does not fit the code any more ends it: a heartbeat waits for nobody."""
    try:
        found = await find(job)
        return found if isinstance(found, Stop) else await put_in_inbox(job, found)
    except Diverged as error:
        return Stop("diverged", f"{error.fact} This heartbeat is over; the next one looks anew.")
    except Damaged as error:
        return Stop("damaged", str(error))


async def find(job: Job) -> tuple[Finding, ...] | Stop:
    """The cheap look first: when it sees nothing, no model is asked."""
    state = await known(job)
    if job.loop.find is None and job.payload is None:
        return whole_loop(job, whole_brief(job, state))
    seen = await look(job)
    if isinstance(seen, Stop):
        return seen
    if seen is None and job.loop.find:
        return ()
    said = await converse(finder(job, seen, state))
    if isinstance(said, Said):
        return findings_in(said)
    return said if isinstance(said, Stop) else Stop("denied", "a heartbeat waits for nobody")
