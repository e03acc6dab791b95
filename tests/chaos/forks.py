"""A process that has imported the store, and forks another for each deed it is told to do.

`python -m tests.chaos.forks` reads orders, one JSON line each. One that names a deed is answered with the pid that does
it; one that names a pid, with how that ended. Imports are paid once, and every kill is a kill of a whole process.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from demo.world import ROOT
from drivers import crash
from tests.chaos.child import live
from tests.chaos.deeds import DEEDS


class Forks:
    """The forking process. A context manager: it and what it forked end with the block."""

    def __enter__(self) -> "Forks":
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.chaos.forks"), cwd=ROOT, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def start(self, deed: str, directory: Path, *, nth: int = 0, doom: str | None = None) -> int:
        """The process that does it now."""
        return self._ask({"deed": deed, "directory": str(directory), "nth": nth, "doom": doom})

    def ended(self, pid: int) -> int:
        """How that process ended, once it has: an exit code, or a signal's negative number."""
        return self._ask({"pid": pid})

    def do(self, deed: str, directory: Path, *, nth: int = 0, doom: str | None = None) -> int:
        """How the process that does it ended."""
        return self.ended(self.start(deed, directory, nth=nth, doom=doom))

    def _ask(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def until_stopped(pid: int) -> None:
    """Until a process stands still. Raises `AssertionError` when it has ended instead."""
    while (state := state_of(pid)) != "T":
        assert state != "Z", "it ended before it stopped"
        time.sleep(0.01)


def has_ended(pid: int, within_s: float) -> bool:
    """Whether a process has ended by then."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if state_of(pid) == "Z":
            return True
        time.sleep(0.01)
    return False


def state_of(pid: int) -> str:
    """The kernel's letter for a process: T when it is stopped, Z when it has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def main() -> None:
    """Serve orders until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        if "pid" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["pid"], 0)[1])
        else:
            answer = os.fork() or live(partial(_do, order))
        print(answer, flush=True)


def _do(order: dict[str, Any]) -> None:
    if order["doom"]:
        crash.listen(crash.Doom(order["doom"]))
    asyncio.run(DEEDS[order["deed"]].act(Path(order["directory"]), order["nth"]))


if __name__ == "__main__":
    main()
