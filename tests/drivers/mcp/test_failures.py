"""What a caller learns when the other side fails, and what heals by itself."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from demo.processes import free_port
from drivers.mcp import McpConnector
from governance.conversation import ToolResult
from governance.errors import Rejected, Unavailable, Unknown
from tests.drivers.mcp.conftest import FIXTURE, Served


async def echo(connector: McpConnector, text: str = "hi") -> ToolResult:
    return await connector.call("echo", {"text": text}, key="k", timeout_s=20, max_bytes=1000)


async def healed(connector: McpConnector) -> ToolResult:
    """The first answer after a failure: callers repeat what was `Unavailable`."""
    end = time.monotonic() + 15
    while True:
        try:
            return await echo(connector, "back")
        except Unavailable as failure:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(failure.retry_after_s or 0.1)


@pytest.fixture(params=[(), ("--legacy",), ("--legacy", "--json")], ids=" ".join)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    server = Served(*request.param)
    server.wait()
    yield server
    server.kill()


@pytest.mark.slow
async def test_a_killed_http_server_is_unknown_then_unavailable_then_found_again(
    served: Served,
) -> None:
    async with McpConnector.http("fixture", served.url) as connector:
        assert (await echo(connector)).text == "hi"
        call = asyncio.create_task(
            connector.call("slow", {"seconds": 30}, key="k", timeout_s=60, max_bytes=100)
        )
        await asyncio.sleep(0.3)
        served.kill()
        with pytest.raises(Unknown) as lost:
            await call
        assert "was sent the request and gave no answer" in lost.value.detail
        with pytest.raises(Unavailable):
            await echo(connector)
        served.start()
        served.wait()
        assert await healed(connector) == ToolResult("back")


@pytest.mark.slow
async def test_a_restart_between_calls_is_not_noticed(served: Served) -> None:
    async with McpConnector.http("fixture", served.url) as connector:
        await connector.tools()
        served.kill()
        served.start()
        served.wait()
        assert await echo(connector) == ToolResult("hi")


async def test_a_server_that_is_not_there_is_unavailable_and_asked_less_and_less_often() -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    async with McpConnector.http("ci", url) as connector:
        with pytest.raises(Unavailable) as first:
            await echo(connector)
        assert str(first.value) == "connector 'ci': cannot be reached (ConnectError)"
        with pytest.raises(Unavailable) as early:
            await connector.tools()
        assert early.value.retry_after_s is not None
        assert 0 < early.value.retry_after_s <= 0.25
        await asyncio.sleep(early.value.retry_after_s)
        with pytest.raises(Unavailable):
            await echo(connector)
        with pytest.raises(Unavailable) as later:
            await echo(connector)
        assert later.value.retry_after_s is not None
        assert 0.25 < later.value.retry_after_s <= 0.5


@pytest.fixture
async def local() -> AsyncIterator[McpConnector]:
    command = (sys.executable, FIXTURE, "stdio")
    async with McpConnector.stdio("local", command, isolation="none") as connector:
        yield connector


async def test_a_process_that_dies_in_a_call_is_unknown_and_started_again(
    local: McpConnector,
) -> None:
    with pytest.raises(Unknown) as died:
        await local.call("exit", {}, key="k", timeout_s=20, max_bytes=100)
    assert str(died.value) == (
        "connector 'local': closed the connection before it answered. "
        "The process ended with exit code 3 and wrote to stderr: a word on stderr"
    )
    assert await healed(local) == ToolResult("back")


def _children() -> set[int]:
    return {
        int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _parent(pid) == os.getpid()
    }


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.slow
async def test_a_process_killed_between_calls_is_started_again_unnoticed() -> None:
    before = _children()
    command = (sys.executable, FIXTURE, "stdio")
    async with McpConnector.stdio("local", command, isolation="none") as connector:
        await echo(connector)
        (pid,) = _children() - before
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert await echo(connector) == ToolResult("hi")
        (again,) = _children() - before
        assert again != pid
    assert _children() == before


@pytest.mark.slow
async def test_a_process_that_hangs_is_replaced_after_its_call_timed_out() -> None:
    before = _children()
    command = (sys.executable, FIXTURE, "stdio")
    async with McpConnector.stdio("local", command, isolation="none") as connector:
        await echo(connector)
        (pid,) = _children() - before
        with pytest.raises(Unknown):
            await connector.call("hang", {}, key="k", timeout_s=0.3, max_bytes=100)
        assert await healed(connector) == ToolResult("back")
        for _ in range(50):
            await asyncio.sleep(0.1 if pid in _children() else 0)
        assert pid not in _children()
    assert _children() == before


@pytest.mark.slow
async def test_a_process_that_never_speaks_is_given_up_in_bounded_time() -> None:
    before = _children()
    command = ("sleep", "60")
    async with McpConnector.stdio("mute", command, isolation="none", connect_s=0.5) as connector:
        with pytest.raises(Unavailable) as failed:
            await connector.tools()
        assert str(failed.value) == "connector 'mute': did not answer within 0.5 s"
    assert _children() == before


async def test_a_program_that_is_not_installed_is_rejected() -> None:
    async with McpConnector.stdio("x", ("no-such-program",), isolation="none") as connector:
        with pytest.raises(Rejected) as failed:
            await connector.tools()
    assert str(failed.value) == (
        "connector 'x': cannot be started: there is no program 'no-such-program'. Install it."
    )


async def test_a_process_that_ends_at_once_says_its_last_words_without_the_credential() -> None:
    command = ("sh", "-c", "echo cannot log in with $TOKEN >&2; exit 7")
    async with McpConnector.stdio(
        "x", command, env={"TOKEN": "canary-5f2e1d0c"}, isolation="none"
    ) as connector:
        with pytest.raises(Unavailable) as failed:
            await connector.tools()
    assert str(failed.value) == (
        "connector 'x': no MCP session: The process ended with exit code 7 and wrote to stderr: "
        "cannot log in with [secret]"
    )


async def test_a_cancelled_caller_is_cancelled_and_the_connection_goes_on(
    local: McpConnector,
) -> None:
    call = asyncio.create_task(
        local.call("slow", {"seconds": 30}, key="k", timeout_s=60, max_bytes=100)
    )
    await asyncio.sleep(0.3 if await echo(local) else 0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await echo(local) == ToolResult("hi")


async def test_closing_ends_calls_that_are_under_way(local: McpConnector) -> None:
    await echo(local)
    call = asyncio.create_task(
        local.call("slow", {"seconds": 30}, key="k", timeout_s=60, max_bytes=100)
    )
    await asyncio.sleep(0.2)
    await local.close()
    with pytest.raises(Unknown):
        await call


@pytest.mark.slow
async def test_a_closed_connector_connects_anew(local: McpConnector) -> None:
    for _ in range(2):
        assert await echo(local) == ToolResult("hi")
        await local.close()
        await local.close()


async def test_a_server_does_not_get_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "canary-5f2e1d0c")
    command = (sys.executable, FIXTURE, "stdio")
    settings = {"REPOSITORY": "northwind"}
    async with McpConnector.stdio(
        "local", command, settings=settings, isolation="none"
    ) as connector:
        said = (await connector.call("leak", {}, key="k", timeout_s=20, max_bytes=5000)).text
    seen = eval(said.removeprefix("upstream refused: "))
    assert set(seen) - {"LC_CTYPE"} == {"PATH", "HOME", "LANG", "REPOSITORY"}
    assert seen["HOME"] != os.environ["HOME"]
    assert not os.path.exists(seen["HOME"])
