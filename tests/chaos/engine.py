"""A Docker engine of a test's own, which may be killed: no other box of this machine is on it."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from demo.processes import Process

BASE, PREPARED = "looprail/python:3.11", "looprail/prepared"


class PrivateEngine:
    """A `dockerd` with its data in one directory. A context manager: nothing of it is left behind.

    It has the machine's images and a network namespace of its own: one told to do without a bridge would take away the
    machine's, and whatever it did about networks would be done to the machine's engine.
    """

    def __init__(self) -> None:
        # Not below a test's own directory: the path of a socket is short.
        self._home = Path(tempfile.mkdtemp(prefix="engine-"))
        self.host = f"unix://{self._home}/docker.sock"

    def __enter__(self) -> "PrivateEngine":
        self.start()
        try:
            self._take_over()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._process.alive():
            self.start()
        # Asked to end it stops its boxes first; killed it would leave them behind.
        self._process.stop()
        # The one that was killed had mounted its data upon itself.
        for mounted in sorted(self._mounted(), reverse=True):
            subprocess.run(("umount", mounted), check=True)
        shutil.rmtree(self._home)

    def start(self) -> None:
        """Up, and answering. What an engine that was killed left behind is its successor's."""
        # It would take whoever has that pid now for its predecessor.
        for stale in (self._home / "pid", self._home / "exec" / "containerd" / "containerd.pid"):
            stale.unlink(missing_ok=True)
        command = (
            "unshare", "--net", "dockerd", "--data-root", f"{self._home}/data", "--exec-root", f"{self._home}/exec",
            "--pidfile", f"{self._home}/pid", "--host", self.host, "--bridge", "none", "--iptables=false",
        )  # fmt: skip
        log = self._home / "dockerd.log"
        self._process = Process("dockerd", command, log=log, env=os.environ, cwd=self._home)
        until = time.monotonic() + 30
        while self.docker("version", check=False).returncode:
            assert time.monotonic() < until, self._process.tail()
            time.sleep(0.1)

    async def kill(self) -> None:
        """As the kernel does when memory is short: nobody is asked."""
        os.kill(self._process.pid, signal.SIGKILL)
        while self._process.alive():
            await asyncio.sleep(0.02)

    def _mounted(self) -> list[str]:
        places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        return [place for place in places if Path(place).is_relative_to(self._home)]

    def _take_over(self) -> None:
        # Another test may take away an image of its own between the list and the copy.
        assert any(self._took_over() for _ in range(3)), "the machine's images cannot be copied"

    def _took_over(self) -> bool:
        told = ("docker", "images", PREPARED, "--format", "{{.Repository}}:{{.Tag}}")
        prepared = subprocess.run(told, capture_output=True, text=True, check=True).stdout.split()
        saved = subprocess.Popen(("docker", "save", BASE, *prepared), stdout=subprocess.PIPE)
        with saved:
            loaded = subprocess.run(
                ("docker", "-H", self.host, "load", "--quiet"), stdin=saved.stdout, check=False,
                capture_output=True,
            )  # fmt: skip
        return saved.returncode == loaded.returncode == 0

    def docker(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """One command of Docker's, to this engine."""
        return subprocess.run(
            ("docker", "-H", self.host, *words), capture_output=True, text=True, check=check
        )

    def commands(self, use: str) -> list[str]:
        """What runs in the boxes of one use (`maker`, `verifier`) now."""
        boxes = self.docker("ps", "-q", "--filter", f"label=looprail.use={use}").stdout.split()
        return [
            line
            for box in boxes
            for line in self.docker("top", box, "-o", "pid,args", check=False).stdout.splitlines()
        ]

    @property
    def boxes(self) -> list[str]:
        """Every box there is, running or not."""
        return self.docker("ps", "-aq").stdout.split()
