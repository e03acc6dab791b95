"""How does the demo start other programs, and make sure that none outlives it?"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import randrange

GRACE_S = 8.0
OURS = (10_000, 30_000)
"""Ports below where the kernel begins: 32768 on Linux, 49152 elsewhere."""


class Process:
    """One program in a process group of its own, with its output in a log file."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.name, self.log = name, log
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(env), cwd=cwd,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Its process id, which is also its group's."""
        return self._popen.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def wait_for(self, url: str, *, timeout_s: float, status: Sequence[int] = (200,)) -> None:
        """Until the URL answers. Raises `RuntimeError` with the end of the log."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if not self.alive():
                break
            if answers(url) in status:
                return
            time.sleep(0.2)
        raise RuntimeError(f"{self.name} did not come up at {url}\n{self.tail()}")

    def tail(self, characters: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def stop(self) -> None:
        """Ask its whole group to end, then make it."""
        for number, wait in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return
            until = time.monotonic() + wait
            while time.monotonic() < until and _group_lives(self.pid):
                self._popen.poll()
                time.sleep(0.05)


def stop_all(processes: Sequence[Process]) -> None:
    """Stop them side by side; each takes as long as it needs to end in order."""
    with ThreadPoolExecutor(max(1, len(processes))) as threads:
        list(threads.map(Process.stop, processes))


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def answers(url: str) -> int | None:
    """The status the URL answers with, or None when nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, ValueError):
        return None


def free_port() -> int:
    """A loopback port nobody listens on now, of those that the kernel gives to nobody by itself.

    Between this look and the program's own, any connection that somebody opens could take one of the others.
    """
    while True:
        port = randrange(*OURS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def program(name: str) -> str:
    """A program of this virtual environment."""
    return str(Path(sys.executable).parent / name)
