"""A real Prefect server of a test module's own, with a password."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import Result

from demo.processes import Process, free_port, program
from tests.cli.filled import ROOT, invoke

PASSWORD = "tests:only-here"


@dataclass
class Server:
    """Where it is, and commands that talk to it."""

    home: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_API_AUTH_STRING": PASSWORD,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "LOOPRAIL_HOME": str(self.home),
            "LOOPRAIL_REGISTRY": str(self.home / "no-registry"),
        }

    @property
    def whole_environment(self) -> dict[str, str]:
        ours = ("PREFECT_", "LOOPRAIL_", "ANTHROPIC_")
        return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | self.environment

    def run(self, *args: object, **more: str) -> Result:
        """A command in this process."""
        return invoke({**self.environment, **more}, *args)

    def process(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A command as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *args], cwd=ROOT, capture_output=True, text=True, timeout=50,
            check=False, env={**self.whole_environment, **more}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def block(self, document: str) -> dict[str, Any] | None:
        """What is in a block, secrets included, or None when there is none."""
        script = (
            "import json, sys, blocks\n"
            "from prefect.blocks.core import Block\n"
            "from prefect.utilities.dispatch import lookup_type\n"
            "slug, _, name = sys.argv[1].partition('/')\n"
            "try: block = lookup_type(Block, slug).load(name)\n"
            "except ValueError: sys.exit(9)\n"
            "show = lambda v: v.get_secret_value() if hasattr(v, 'get_secret_value') else v\n"
            "print(json.dumps({f: show(getattr(block, f)) for f in type(block).model_fields}, default=str))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, document], cwd=ROOT, capture_output=True, text=True, timeout=50,
            env=self.whole_environment, check=False,
        )  # fmt: skip
        if done.returncode == 9:
            return None
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """The server, for as long as the block lasts."""
    server = Server(home, free_port())
    command = (
        program("prefect"),
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(server.port),
    )
    password = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
    process = Process(
        "prefect",
        command,
        log=home / "server.log",
        env={**server.whole_environment, **password},
        cwd=home,
    )
    try:
        process.wait_for(f"http://127.0.0.1:{server.port}/api/health", timeout_s=90)
        yield server
    finally:
        process.stop()
