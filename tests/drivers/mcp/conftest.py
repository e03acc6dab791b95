import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import free_port

HERE = Path(__file__).parent
FIXTURE = str(HERE / "fixture_server.py")
HOSTILE = str(HERE / "hostile_server.py")


class Served:
    """The fixture server as an HTTP server that can be killed and started again on its port."""

    def __init__(self, *options: str) -> None:
        self.port, self.options = free_port(), options
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self.start()

    def start(self) -> None:
        port = str(self.port)
        self.process = subprocess.Popen(
            [sys.executable, FIXTURE, "http", "--port", port, *self.options]
        )

    def wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError(f"the fixture server does not listen on port {self.port}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


MODES = ((), ("--json",), ("--legacy",), ("--legacy", "--json"))


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[tuple[str, ...], Served]]:
    running = {mode: Served(*mode) for mode in MODES}
    for server in running.values():
        server.wait()
    yield running
    for server in running.values():
        server.kill()
