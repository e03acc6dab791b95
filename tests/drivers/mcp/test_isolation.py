"""What a local server with bad intentions can get at."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drivers.mcp import McpConnector
from governance.errors import Rejected
from tests.drivers.mcp.conftest import FIXTURE, HERE, HOSTILE

pytestmark = pytest.mark.bwrap
CANARY = "canary-5f2e1d0c"
PLACE = ((str(HERE), "ro"),)


async def attack(connector: McpConnector, name: str, **given: object) -> str:
    result = await connector.call(name, given, key="k", timeout_s=20, max_bytes=1_000_000)
    return result.text


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPRAIL_CANARY", CANARY)


@pytest.fixture
async def hostile() -> AsyncIterator[McpConnector]:
    command = (sys.executable, HOSTILE)
    # Settings and not `env`: nothing may be masked away here.
    async with McpConnector.stdio(
        "hostile", command, settings={"DECLARED": "yes"}, binds=PLACE
    ) as connector:
        yield connector


async def test_it_sees_only_declared_variables(hostile: McpConnector) -> None:
    seen = json.loads(await attack(hostile, "environment"))
    assert seen.pop("PATH").endswith("/usr/local/bin:/usr/bin:/bin")
    seen.pop("LC_CTYPE", None)
    assert seen == {
        "HOME": "/tmp/home",
        "LANG": "C.UTF-8",
        "DECLARED": "yes",
        "PWD": "/tmp/home",
    }


async def test_it_sees_no_process_of_ours(hostile: McpConnector) -> None:
    child = subprocess.Popen(["sleep", "30"], env={"LOOPRAIL_CANARY": CANARY})
    try:
        assert CANARY not in await attack(hostile, "environments")
        assert int(await attack(hostile, "signal")) <= 3
    finally:
        child.kill()
        child.wait()


async def test_it_sees_no_home_no_temporary_file_and_no_system_secret(
    hostile: McpConnector, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    for path in (str(secret), str(Path.home() / ".bashrc"), "/etc/shadow", "/run/docker.sock"):
        assert await attack(hostile, "read", path=path) == "refused: No such file or directory"
    assert await attack(hostile, "list", path="/tmp/home") == ""
    tops = (await attack(hostile, "list", path="/")).split()
    assert {"srv", "var", "mnt", "opt", "sys", "run"}.isdisjoint(tops)


async def test_it_reads_its_own_program_and_cannot_change_it(hostile: McpConnector) -> None:
    assert "hostile" in await attack(hostile, "read", path=HOSTILE)
    assert await attack(hostile, "write", path=HOSTILE) == "refused: Read-only file system"
    python = str(Path(sys.executable).parent / "evil")
    assert await attack(hostile, "write", path=python) == "refused: Read-only file system"


async def test_it_reaches_no_loopback_port(hostile: McpConnector) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await attack(hostile, "connect", port=port)).startswith("refused: ")


async def test_a_bind_gives_just_what_it_says(tmp_path: Path) -> None:
    for name in ("read", "write", "write/.looprail"):
        (tmp_path / name).mkdir()
    (tmp_path / "write/.looprail/state").write_text(CANARY)
    read, write = str(tmp_path / "read"), str(tmp_path / "write")
    command = (sys.executable, HOSTILE)
    async with McpConnector.stdio(
        "bound",
        command,
        binds=(*PLACE, (read, "ro"), (write, "rw")),
        hidden=(f"{write}/.looprail", f"{write}/.none"),
        cwd=write,
    ) as connector:
        denied = await attack(connector, "write", path=f"{read}/x")
        assert denied == "refused: Read-only file system"
        assert await attack(connector, "write", path=f"{write}/x") == "written"
        assert await attack(connector, "list", path=".") == ".looprail\nx"
        assert await attack(connector, "list", path=".looprail") == ""
    assert (tmp_path / "write/x").read_text() == "mine"


async def test_no_credential_stands_on_a_command_line() -> None:
    command = (sys.executable, HOSTILE)
    async with McpConnector.stdio(
        "quiet", command, env={"TOKEN": CANARY}, binds=PLACE
    ) as connector:
        await attack(connector, "environment")
        lines = b"".join(_command_lines())
        assert HOSTILE.encode() in lines
        assert CANARY.encode() not in lines


def _command_lines() -> list[bytes]:
    found: list[bytes] = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        except OSError:
            continue
    return found


async def test_an_isolated_process_does_not_outlive_its_connector() -> None:
    command = (sys.executable, FIXTURE, "stdio", "--port", "61234")
    async with McpConnector.stdio("mortal", command, binds=PLACE) as connector:
        await connector.tools()
        assert any(b"61234" in line for line in _command_lines())
    assert not any(b"61234" in line for line in _command_lines())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "cannot bind '/': an absolute path below / is needed"),
        ("data", "cannot bind 'data': an absolute path below / is needed"),
        ("/no/such", "cannot bind '/no/such': there is no such file or directory"),
    ],
)
async def test_a_bind_that_makes_no_sense_is_rejected(path: str, reason: str) -> None:
    command = (sys.executable, HOSTILE)
    async with McpConnector.stdio("x", command, binds=((path, "ro"),)) as connector:
        with pytest.raises(Rejected) as failed:
            await connector.tools()
    assert str(failed.value) == f"connector 'x': {reason}"


async def test_without_bubblewrap_it_is_refused_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    async with McpConnector.stdio("x", ("python", HOSTILE), binds=PLACE) as connector:
        with pytest.raises(Rejected) as failed:
            await connector.tools()
    assert str(failed.value) == (
        "connector 'x': cannot be isolated: bubblewrap is not installed. Install it (apt-get "
        "install bubblewrap), or declare isolation 'none' to run it with everything this user may "
        "read"
    )
