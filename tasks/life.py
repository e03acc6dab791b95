"""Take up one item, and put it down again."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import Abort
from prefect.runtime import flow_run

from drivers.process import this_process
from governance.effects import Refused, Stop
from governance.errors import Damaged, DriverError, TakenOver
from governance.failures import ended_by
from governance.parts import Json
from governance.pinned import Pinned
from governance.records import Claimed, PageMoved, RunRow
from tasks.desk import Desk
from tasks.endings import give_up, on_its_page
from tasks.job import Job, current, enter
from tasks.outbox import drain
from tasks.people import collect_answers
from tasks.waking import note_changes
from tasks.watch import watched
from tasks.wayout import of_repository
from tasks.world import World, now_ms, open_world

LEASE_MS = 3_600_000
"""After so long without an end a life's open effects belong to nobody."""


@asynccontextmanager
async def take(item: str) -> AsyncGenerator[Job | Stop]:
    """One life of an item: answers given meanwhile are read first, then the fence is taken (T3).

    Not being given the item is a value. Whatever this life opened is closed behind it. A life that another one
    has followed ends without a word: the flow run's state is the newer one's to tell.
    """
    async with open_world() as world:
        try:
            job = await _taken(world, item)
        except Damaged as error:
            job = await _damaged(world, item, error)
        if isinstance(job, Stop):
            yield job
            return
        try:
            async with watched(job):
                yield job
        except TakenOver as error:
            raise Abort(str(error)) from error
        finally:
            if job.desk:
                await job.desk.close()


async def _taken(world: World, item: str) -> Job | Stop:
    claimed = await claim(world, item)
    return claimed if isinstance(claimed, Stop) else await _begin(world, claimed)


async def _damaged(world: World, item: str, error: Damaged) -> Stop:
    """End an item whose record cannot be believed: nothing is done on the strength of it, and people are told."""
    row = await world.store.item(item)
    assert row is not None
    stop = Stop("damaged", str(error))
    await give_up(world, row, stop)
    await drain(world)
    return stop


async def claim(world: World, item: str) -> Claimed | Stop:
    """T3 for this flow run, with the lives the pinned definition allows; out of lives, the item ends."""
    row = await world.store.item(item)
    if row is None:
        return Stop("cancelled", f"there is no item {item!r} in this store")
    await collect_answers(world, row)
    pinned = Pinned.model_validate_json(await world.store.definition(row.definition))
    claimed = await world.store.claim(
        item,
        flow_run=str(flow_run.id),
        now=now_ms(),
        lease=now_ms() + LEASE_MS,
        max_lives=pinned.loop.harness.max_lives,
        process=this_process(),
    )
    if not isinstance(claimed, Refused):
        return claimed
    if claimed.stop.reason == "lives":
        await give_up(world, row, claimed.stop)
    return claimed.stop


async def _begin(world: World, claimed: Claimed) -> Job:
    """This life's job. Boxes of older lives end here: they can start nothing any more, and hold memory."""
    row = claimed.item
    pinned = Pinned.model_validate_json(await world.store.definition(row.definition))
    job = Job(world, pinned, run=row.run, owner=row.item, fence=row.fence, item=row)
    job.remember(claimed.journal)
    if pinned.loop.workspace:
        job.desk = Desk(job)
        if row.fence > 1:
            await (await world.sandbox()).end({"looprail.item": row.item})
    enter(job)
    await note_changes(job)
    return job


async def start_from(job: Job) -> Stop | None:
    """Settle which commit the item starts from, once for all its lives; a stop when the repository does not say."""
    assert job.item is not None
    assert job.loop.workspace is not None
    if job.base:
        return None
    try:
        with of_repository(job.world.registry.organisation, job.loop.workspace.repository):
            repository, _ = await job.repository()
            job.base = await repository.fetch(job.loop.workspace.ref)
    except DriverError as error:
        return ended_by(error, now_ms())
    await job.world.store.advance(
        job.owner, fence=job.fence, round=job.item.round, base=job.base, now=now_ms()
    )
    return None


async def close(job: Job, outcome: Json, stop: Stop | None) -> RunRow:
    """T9: what the item amounted to and the state page that says so, in one transaction."""
    return await _close(stop.reason if stop else "done", _Ending(outcome, stop))


@dataclass(frozen=True)
class _Ending:
    outcome: Json
    stop: Stop | None


@task(name="close", task_run_name="close: {word}", cache_policy=NO_CACHE, persist_result=False)
async def _close(word: str, ending: _Ending) -> RunRow:
    job = current()
    assert job.item is not None
    outcome, stop = ending.outcome, ending.stop
    status = "stopped" if stop else "done"

    async def write(state: str, seen: int) -> RunRow | PageMoved:
        return await job.world.store.close(
            job.owner, fence=job.fence, status=status, outcome=outcome, stop=stop, state=state,
            seen=seen, now=now_ms(),
        )  # fmt: skip

    ended = replace(job.item, status=status, outcome=outcome, stop=stop)
    return await on_its_page(job.world, ended, write)
