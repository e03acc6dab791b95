"""One life of an item in a process of its own, as a worker's child lives it: `life.py <flow run> <send within ms>`."""

import asyncio
import sys
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

from prefect import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async

import tasks.job
from flows.work import work


async def main(flow_run: str, send_within_ms: int) -> None:
    """Do what a worker's child does."""
    tasks.job.SEND_WITHIN_MS = send_within_ms
    async with get_client() as client:
        run = await client.read_flow_run(UUID(flow_run))
    with suppress(Pause):
        await cast(Any, run_flow_async)(work, flow_run=run, parameters=run.parameters)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
