"""Does a person still want this flow run? Asked once a second while its process works.

A press on Cancel reaches a process by its worker, which takes seconds and may be dead. The stop is written to the
store, where every new effect is judged, so nothing new starts anywhere; and boxes of the item are taken away.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.logging import get_logger
from prefect.runtime import flow_run

from governance.effects import Stop
from governance.errors import LoopError
from tasks.job import Job
from tasks.lost import lost
from tasks.world import World, now_ms

logger = get_logger("looprail.watch")

EVERY_S = 1.0
_UNANSWERED = (httpx.HTTPError, PrefectException, OSError)
"""A server that is away for a while: the next second asks again."""


@asynccontextmanager
async def watched(job: Job) -> AsyncGenerator[None]:
    """While the block lasts, a flow run that was cancelled or deleted stops the job within a second or two."""
    over = asyncio.Event()
    watching = asyncio.create_task(_watch(job, UUID(str(flow_run.id)), over))
    try:
        yield
    finally:
        over.set()
        # A question under way is let be answered, for a moment: cut off, it would leave its connection behind.
        done, asking = await asyncio.wait({watching}, timeout=EVERY_S)
        for task in asking:
            task.cancel()
        for task in done:
            if not task.cancelled() and (error := task.exception()):
                logger.error("%s was not watched to its end: %s", job.owner, error)


async def _watch(job: Job, run: UUID, over: asyncio.Event) -> None:
    async with get_client() as client:
        while (why := await _unwanted(client, job.world, run)) is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), EVERY_S)
            if over.is_set():
                return
    await job.world.store.stop(job.owner, Stop("cancelled", why), now=now_ms())
    logger.warning("%s is stopped: %s", job.owner, why)
    if job.desk:
        try:
            await (await job.world.sandbox()).end({"looprail.item": job.owner})
        except LoopError as error:
            logger.warning("boxes of %s are left to housekeeping: %s", job.owner, error)


async def _unwanted(client: PrefectClient, world: World, run: UUID) -> str | None:
    try:
        state = (await client.read_flow_run(run)).state
    except ObjectNotFound:
        return await _deleted(client, world, run)
    except _UNANSWERED:
        return None
    if state is None or state.type not in (StateType.CANCELLING, StateType.CANCELLED):
        return None
    return f"flow run {str(run)!r} was cancelled in Prefect"


async def _deleted(client: PrefectClient, world: World, run: UUID) -> str | None:
    """Gone with all of Prefect's database it is nobody's wish: housekeeping hands the item out anew."""
    try:
        gone = await lost(client, world)
    except _UNANSWERED:
        return None
    return None if gone else f"flow run {str(run)!r} was deleted in Prefect"
