"""A process that has imported all that a caller needs, and forks one for each order it reads.

`python -m tests.money.crowd` reads orders, one JSON line each. One with callers is answered with the pid of the process
in which `act` serves it, one that names a pid with how that ended, or null. Imports are paid once, and a kill is a kill
of a whole process.
"""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pkgutil import resolve_name
from typing import Any

import anthropic  # noqa: F401
import genai_prices  # noqa: F401
import httpx2  # noqa: F401

import drivers.store.migrations  # noqa: F401
import tests.money.callers  # noqa: F401
from demo.world import ROOT
from drivers import crash
from tests.chaos.child import live


class Crowd:
    """The forking process. A context manager: it and what it forked end with the block."""

    def __enter__(self) -> "Crowd":
        self._process = subprocess.Popen(
            (sys.executable, "-m", "tests.money.crowd"), cwd=ROOT, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def start(self, order: dict[str, Any]) -> int:
        """The process that does it now."""
        return self._ask(order)

    def ended(self, pid: int) -> int | None:
        """How that process ended: an exit code, or a signal's negative number; None while it goes on."""
        return self._ask({"pid": pid})

    def _ask(self, order: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main() -> None:
    """Serve orders until standard input ends."""
    for line in sys.stdin:
        order = json.loads(line)
        if "pid" in order:
            pid, status = os.waitpid(order["pid"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork() or live(partial(_act, order))
        print(json.dumps(answer), flush=True)


def _act(order: dict[str, Any]) -> None:
    if doom := order.get("doom"):
        crash.listen(crash.Doom(doom))
    resolve_name(order["act"])(order)


if __name__ == "__main__":
    main()
