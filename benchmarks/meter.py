"""How much processor time did a process tree use, and when has a Prefect server digested what it was sent?

Standard library only: contenders run it in virtual environments that know nothing of this house.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
FLUSH_S = 6.0
"""Prefect's event persister writes what it gathered every five seconds, so a shorter silence proves nothing."""
SENT_S = 1.0
"""A client has sent its last event by then, and its idle polling does not count for longer."""
QUIET_SHARE = 0.10
"""A server that uses less of a core than this over a second is at rest; one with nothing to do uses 1 to 4 %."""
LONGEST_SETTLE_S = 120.0


@dataclass(frozen=True)
class Reading:
    """Seconds of processor time so far, and the wall clock."""

    client: float
    server: float
    wall: float


@dataclass(frozen=True)
class Cost:
    """Milliseconds per step between two readings."""

    client_ms: float
    server_ms: float
    wall_ms: float


class Meter:
    """Processor time of this process and of one server's tree."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._idle_share = 0.0
        self._begun = self.read()

    def read(self) -> Reading:
        """Now. The client is exact; the server comes in kernel ticks of 10 ms."""
        return Reading(time.process_time(), tree_seconds(self._server), time.monotonic())

    async def settle(self) -> None:
        """Wait until the server is at rest, and note what it uses at rest."""
        await asyncio.sleep(FLUSH_S)
        until = time.monotonic() + LONGEST_SETTLE_S
        quiet: list[float] = []
        while len(quiet) < 3 and time.monotonic() < until:
            before = tree_seconds(self._server)
            await asyncio.sleep(1)
            share = tree_seconds(self._server) - before
            quiet = [*quiet, share] if share < QUIET_SHARE else []
        self._idle_share = sum(quiet) / len(quiet) if quiet else 0.0

    def begin(self) -> None:
        """The steps begin now."""
        self._begun = self.read()

    async def end(self, steps: int) -> Cost:
        """What one of `steps` cost since `begin`, the server's own housekeeping left out."""
        wall = time.monotonic() - self._begun.wall
        await asyncio.sleep(SENT_S)
        ended = self.read()
        await self.settle()
        now = self.read()
        resting = self._idle_share * (now.wall - self._begun.wall)
        return Cost(
            client_ms=1000 * (ended.client - self._begun.client) / steps,
            server_ms=1000 * max(0.0, now.server - self._begun.server - resting) / steps,
            wall_ms=1000 * wall / steps,
        )


def tree_seconds(root: int) -> float:
    """Processor time of a process, its living descendants, and those it has outlived."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(entry)):
            parents[int(entry.name)] = int(fields[1])
            ticks[int(entry.name)] = sum(int(f) for f in fields[11:15])
    return TICK_S * sum(t for pid, t in ticks.items() if _below(pid, root, parents))


def tree_rss_mb(root: int) -> float:
    """Proportional memory of a process and its living descendants: shared pages count once."""
    parents = {
        int(e.name): int(f[1])
        for e in Path("/proc").iterdir()
        if e.name.isdigit() and (f := _stat(e))
    }
    return sum(_pss_kb(pid) for pid in parents if _below(pid, root, parents)) / 1024


def _stat(entry: Path) -> list[str] | None:
    """The fields after the name, which may hold spaces: state is 0, ppid 1, utime 11 to cstime 14."""
    try:
        return (entry / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _below(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid and pid != root:
        pid = parents.get(pid, 0)
    return pid == root
