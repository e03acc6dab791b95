"""What a local server with a network reaches: the outside, never what listens on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from drivers.mcp import McpConnector
from governance.errors import Rejected
from tests.drivers.mcp.conftest import HERE, HOSTILE

pytestmark = pytest.mark.bwrap
EVERYTHING = {
    "public", "private", "metadata", "neighbour", "loopback", "bridge", "own", "own public", "resolver", "names",
}  # fmt: skip
"""What the machine itself reaches: so it is the fence that holds, and not the service that is not there."""


def reached(user: str, *private: str) -> dict[str, Any]:
    """On a machine of its own (`machine.py`), made of namespaces, which takes root."""
    apart = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    done = subprocess.run(
        (*apart, sys.executable, "-m", "tests.drivers.mcp.machine", user, *private),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert set(told["machine"]) == EVERYTHING
    return told


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_with_a_network_it_reaches_public_addresses_and_names_and_nothing_else(user: str) -> None:
    told = reached(user)
    assert told["server"] == ["public", "names"]
    assert told["by device"] == ["public"]


def test_a_private_network_is_reached_once_it_is_declared() -> None:
    assert reached("root", "10.77.0.0/24")["server"] == ["public", "private", "names"]


def test_no_declaration_opens_this_machine_or_the_metadata() -> None:
    everything = ("0.0.0.0/1", "128.0.0.0/1")
    told = reached("root", *everything)
    assert told["server"] == ["public", "private", "neighbour", "names"]
    assert told["by device"] == ["public", "private", "neighbour"]


async def test_without_the_programs_it_takes_it_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("bwrap", "nsenter"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    async with McpConnector.stdio("x", (sys.executable, HOSTILE), private=()) as connector:
        with pytest.raises(Rejected) as failed:
            await connector.tools()
    assert str(failed.value) == (
        "connector 'x': cannot be given a network of its own: slirp4netns is not installed. Install it "
        "(apt-get install slirp4netns), or connect the server without --network"
    )


async def test_a_server_that_does_not_start_says_why_and_leaves_nothing_open() -> None:
    before = os.listdir("/proc/self/fd")
    connector = McpConnector.stdio("x", (sys.executable, "-c", "no"), private=(), cwd="/nowhere")
    async with connector:
        with pytest.raises(Exception, match="Can't chdir to /nowhere"):
            await connector.tools()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert _ways_out(os.getpid()) == []


async def test_the_way_out_ends_with_the_connection() -> None:
    async with McpConnector.stdio(
        "x", (sys.executable, HOSTILE), binds=((str(HERE), "ro"),), private=()
    ) as connector:
        await connector.tools()
        assert len(_ways_out(os.getpid())) == 1
    assert _ways_out(os.getpid()) == []


def test_a_killed_worker_leaves_neither_server_nor_way_out() -> None:
    script = (
        "import asyncio, sys\n"
        "from drivers.mcp import McpConnector\n"
        "async def main():\n"
        f"    place = (({str(HERE)!r}, 'ro'),)\n"
        f"    connector = McpConnector.stdio('x', (sys.executable, {HOSTILE!r}), binds=place, private=())\n"
        "    await connector.tools()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen((sys.executable, "-c", script), stdout=subprocess.PIPE) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"up\n"
        started = _children(worker.pid)
        assert len(_ways_out(worker.pid)) == 1
        assert len(started) == 2
        worker.send_signal(signal.SIGKILL)
    until = time.monotonic() + 10
    while any(map(_runs, started)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [pid for pid in started if _runs(pid)] == []


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _ways_out(pid: int) -> list[int]:
    return [c for c in _children(pid) if Path(f"/proc/{c}/comm").read_text() == "slirp4netns\n"]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
