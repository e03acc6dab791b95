"""One item, from the inbox to its end. Each item is one run of this flow: it waits, crashes and scales alone."""

from prefect import flow
from prefect.client.schemas.objects import State

from flows.converse import converse
from flows.mend import mend
from governance.effects import Stop
from governance.errors import Damaged, Diverged
from governance.parts import Json
from tasks.diverged import park
from tasks.job import Job
from tasks.lane import Said
from tasks.lanes import known, lead
from tasks.life import take
from tasks.people import wait
from tasks.perform import JOURNAL
from tasks.report import amounts_to, ended, finish
from tasks.step import Waiting


@flow(
    name="work",
    flow_run_name="{loop}: {title}",
    result_storage=JOURNAL,
    persist_result=False,
)
async def work(loop: str, item: str, title: str = "") -> State[None]:
    """Take the item, do what its loop says, wait for people and for what comes by itself, and close it."""
    async with take(item) as job:
        if isinstance(job, Stop):
            return ended(job)
        outcome = await attempt(job)
        while isinstance(outcome, Waiting):
            await wait(job)
            outcome = await attempt(job)
        return await finish(job, outcome)


async def attempt(job: Job) -> Json | Waiting | Stop:
    """All that can be done now: what was done before comes back from the journal, the rest is made.

    Where the record does not fit the code any more a person is asked, and a round they restart begins anew.
    """
    while True:
        try:
            return await (mend(job) if job.loop.goal else carry_out(job))
        except Diverged as error:
            parked = await park(job, error)
        except Damaged as error:
            return Stop("damaged", str(error))
        if parked is not None:
            return parked


async def carry_out(job: Job) -> Json | Waiting | Stop:
    """What a loop without a goal does: one conversation of the lead, with its delegates as tools."""
    said = await converse(lead(job, await known(job)))
    if not isinstance(said, Said):
        return said
    return job.turned_down or await amounts_to(job, (), {}, said.text)
