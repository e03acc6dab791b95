"""Lives of real flow runs, started, watched, stopped and killed."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.world import ROOT


@dataclass
class Life:
    """One process that runs, or ran, one flow run."""

    number: int
    flow: str
    pid: int
    doom: str | None
    trace: Path
    ended: "asyncio.Future[int]"
    """Its exit code; the negative number of the signal that ended it."""

    @property
    def points(self) -> list[str]:
        """The points it has passed, in order."""
        return self.trace.read_text().split() if self.trace.exists() else []

    @property
    def killed(self) -> bool:
        """It did not end by itself."""
        return self.ended.done() and self.ended.result() == -signal.SIGKILL

    @property
    def stopped(self) -> bool:
        """It was stopped (SIGSTOP) and not yet continued."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    async def until_stopped(self) -> None:
        """Until it has stopped itself. Raises `AssertionError` when it ends instead."""
        while not self.stopped:
            assert not self.ended.done(), f"it ended before {self.doom}"
            await asyncio.sleep(0.02)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        if not self.ended.done():
            os.kill(self.pid, signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """A signal, to it and to the children it may have."""
        os.killpg(self.pid, number)


class Lives:
    """The zygote and its lives. A context manager: none of them outlives the block."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home, self._environment = home, dict(environment)
        self.every: list[Life] = []
        self._waiting: asyncio.Queue[int] = asyncio.Queue()
        self._zygote: Process | None = None
        self._by_pid: dict[int, Life] = {}
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> "Lives":
        self.home.mkdir(parents=True, exist_ok=True)
        log = (self.home / "zygote.log").open("ab")
        with log:
            self._zygote = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.chaos.zygote", cwd=ROOT,
                env={**self._environment, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_TO_API_ENABLED": "false"},
                stdin=PIPE, stdout=PIPE, stderr=log,
            )  # fmt: skip
        assert self._zygote.stdout is not None
        assert b"ready" in await self._zygote.stdout.readline(), "the zygote did not start"
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._zygote is not None
        for life in self.every:
            # Of one that has ended the number may be somebody else's by now.
            if not life.ended.done():
                with suppress(ProcessLookupError):
                    life.send(signal.SIGKILL)
        self._reading.cancel()
        self._zygote.kill()
        await self._zygote.wait()

    @property
    def pid(self) -> int:
        """The zygote's."""
        assert self._zygote is not None
        return self._zygote.pid

    async def start(
        self, flow: str, flow_run: str | None, env: Mapping[str, str], doom: str | None = None
    ) -> Life:
        """A life of that flow run; it comes to its end by itself, or as `doom` says."""
        number = len(self.every)
        trace = self.home / f"life-{number}"
        order: dict[str, Any] = {
            "flow": flow, "flow_run": flow_run, "env": dict(env),
            "doom": None if doom and doom.startswith("@") else doom,
            "trace": str(trace), "log": str(self.home / "lives.log"),
        }  # fmt: skip
        assert self._zygote is not None
        assert self._zygote.stdin is not None
        async with self._turn:
            self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
            pid = await self._waiting.get()
        ended = asyncio.get_running_loop().create_future()
        life = Life(number, flow, pid, doom, trace, ended)
        self.every.append(life)
        self._by_pid[pid] = life
        return life

    async def _read(self) -> None:
        assert self._zygote is not None
        assert self._zygote.stdout is not None
        async for line in self._zygote.stdout:
            told = json.loads(line)
            if "started" in told:
                await self._waiting.put(told["started"])
            else:
                # A life may end before its starter was told its pid.
                asyncio.get_running_loop().call_later(
                    0.01, self._note, told["ended"], told["status"]
                )

    def _note(self, pid: int, status: int) -> None:
        self._by_pid.pop(pid).ended.set_result(status)
