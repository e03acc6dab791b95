"""A process that has imported everything, and forks a life for each order it reads.

`python -m tests.chaos.zygote` reads orders, one JSON line each, and writes what it started and what ended. A life is
a process of its own that runs one real flow run by Prefect's own engine, as a worker's child does; only its imports
are shared. It is killed for real: SIGKILL at a named point, or whenever the order's giver likes.
"""

import asyncio
import json
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast
from uuid import UUID

import anthropic  # noqa: F401
import httpx2  # noqa: F401
import mcp.client  # noqa: F401
from jsonschema import Draft202012Validator  # noqa: F401
from prefect import get_client
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow_async
from sqlalchemy.dialects import sqlite  # noqa: F401

import drivers.mcp.connector
import drivers.mcp.streamable
import drivers.store.migrations  # noqa: F401
from drivers import crash
from flows.heartbeat import heartbeat
from flows.housekeeping import housekeeping
from flows.work import work
from tests.chaos.child import live

FLOWS: dict[str, Any] = {"heartbeat": heartbeat, "work": work, "housekeeping": housekeeping}


def main() -> None:
    """Fork for each order until standard input ends."""
    _say({"ready": os.getpid()})
    lives: dict[int, int] = {}
    pending = b""
    while True:
        ready, _, _ = select.select([0, *lives], [], [])
        for handle in ready:
            if handle != 0:
                pid = lives.pop(handle)
                os.close(handle)
                _say({"ended": pid, "status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                return
            *orders, pending = (pending + read).split(b"\n")
            for order in orders:
                pid = _fork(json.loads(order))
                lives[os.pidfd_open(pid)] = pid
                _say({"started": pid})


def _fork(order: dict[str, Any]) -> int:
    pid = os.fork()
    return pid or live(partial(_child, order))


def _child(order: dict[str, Any]) -> None:
    _begin(order)
    asyncio.run(_live(order))


def _begin(order: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["env"])
    crash.listen(_witness(order["trace"], order["doom"]))


def _witness(trace: str, doom: str | None) -> Callable[[str], None]:
    """Notes every point on its way, then lets doom have its say."""
    file = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    fate = crash.Doom(doom) if doom else None

    def heard(name: str) -> None:
        os.write(file, f"{name}\n".encode())
        if fate:
            fate(name)

    return heard


async def _live(order: dict[str, Any]) -> None:
    flow = FLOWS[order["flow"]]
    if order["flow_run"] is None:
        await flow(return_state=True)
        return
    async with get_client() as client:
        run = await client.read_flow_run(UUID(order["flow_run"]))
    # A flow that suspends leaves its process by this signal; a worker takes it for a good end, too.
    with suppress(Pause):
        await cast(Any, run_flow_async)(
            flow, flow_run=run, parameters=run.parameters, return_type="state"
        )


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
