"""Is a call that has taken too long to be sent never sent, however far its connection has come meanwhile?"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from drivers.mcp import McpConnector
from governance.conversation import ToolResult
from governance.errors import Unavailable
from tests.drivers.mcp.conftest import FIXTURE, MODES, Served

SLOW_S = 0.4
CALL = b"tools/call"


class Deadline:
    """A moment, and how often it was looked at."""

    def __init__(self, within_s: float) -> None:
        self.asked = 0
        self._end = time.monotonic() + within_s

    def __call__(self) -> None:
        self.asked += 1
        if time.monotonic() > self._end:
            raise Unavailable("github.merge", "not sent: too late")


async def echo(connector: McpConnector, in_time: Callable[[], None]) -> ToolResult:
    return await connector.call(
        "echo", {"text": "hi"}, key="k", timeout_s=20, max_bytes=1000, in_time=in_time
    )


class Wire:
    """A proxy before a server that is slow to answer a connection's first request; it keeps what was sent."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.heard = bytearray()
        self.delay_s = SLOW_S
        self._carrying: set[asyncio.Task[None]] = set()

    async def cut(self) -> None:
        """End every connection that is still carried."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        server, out = await asyncio.open_connection("127.0.0.1", self._port)

        async def there() -> None:
            while chunk := await reader.read(65_536):
                self.heard += chunk
                out.write(chunk)
            out.close()

        async def back() -> None:
            while chunk := await server.read(65_536):
                delay_s, self.delay_s = self.delay_s, 0.0
                await asyncio.sleep(delay_s)
                writer.write(chunk)
            writer.close()

        try:
            await asyncio.gather(there(), back(), return_exceptions=True)
        finally:
            out.close()
            writer.close()


@asynccontextmanager
async def slow_http(served: Served) -> AsyncIterator[tuple[McpConnector, Wire]]:
    wire = Wire(served.port)
    proxy = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    async with proxy, McpConnector.http("slow", f"http://127.0.0.1:{port}/mcp") as connector:
        yield connector, wire
    await wire.cut()


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
async def test_over_http_nothing_is_sent_when_connecting_took_too_long(
    servers: dict[tuple[str, ...], Served], mode: tuple[str, ...]
) -> None:
    async with slow_http(servers[mode]) as (connector, wire):
        late = Deadline(SLOW_S / 2)
        with pytest.raises(Unavailable, match=r"^github\.merge: not sent: too late$"):
            await echo(connector, late)
        assert late.asked == 1
        assert wire.heard, "the connection was made"
        assert CALL not in wire.heard
        assert await echo(connector, Deadline(5)) == ToolResult("hi"), "and serves the next call"
        assert wire.heard.count(b'"echo"') == 1


async def test_a_call_that_was_given_up_while_its_request_connected_is_not_sent_later(
    servers: dict[tuple[str, ...], Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK lets a request of the older protocol go on when nobody waits for it any more."""
    plainly = httpx2.AsyncHTTPTransport.handle_async_request

    async def slowly(inner: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(SLOW_S if CALL in request.content else 0)
        return await plainly(inner, request)

    async with slow_http(servers["--legacy",]) as (connector, wire):
        await connector.tools()
        monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", slowly)
        with pytest.raises(Unavailable, match="no connection within"):
            await connector.call("echo", {}, key="k", timeout_s=SLOW_S / 4, max_bytes=1000)
        await asyncio.sleep(SLOW_S)
        assert CALL not in wire.heard


async def test_over_stdio_nothing_is_sent_when_the_process_took_too_long_to_start(
    tmp_path: Path,
) -> None:
    heard = tmp_path / "heard"
    slow = f"sleep {SLOW_S}; tee {heard} | {sys.executable} {FIXTURE} stdio"
    async with McpConnector.stdio("slow", ("sh", "-c", slow), isolation="none") as connector:
        late = Deadline(SLOW_S / 2)
        with pytest.raises(Unavailable, match=r"^github\.merge: not sent: too late$"):
            await echo(connector, late)
        assert late.asked == 1
        assert heard.read_bytes(), "the connection was made"
        assert CALL not in heard.read_bytes()
        assert await echo(connector, Deadline(5)) == ToolResult("hi"), "and serves the next call"
        assert heard.read_bytes().count(CALL) == 1


RELAY = """
import os, sys, time
log, stall_s = open(sys.argv[1], "ab", 0), float(sys.argv[2])
while chunk := os.read(0, 65_536):
    log.write(chunk)
    os.write(1, chunk)
    if b"x" * 1_000 in chunk:
        time.sleep(stall_s)
        stall_s = 0
"""
"""Stops reading in the middle of the first large message, for a while."""


async def test_over_stdio_what_waits_behind_a_message_that_is_not_read_has_not_been_sent(
    tmp_path: Path,
) -> None:
    heard, relay = tmp_path / "heard", tmp_path / "relay.py"
    relay.write_text(RELAY)
    stuck = f"{sys.executable} {relay} {heard} {3 * SLOW_S} | {sys.executable} {FIXTURE} stdio"
    async with McpConnector.stdio("stuck", ("sh", "-c", stuck), isolation="none") as connector:
        await connector.tools()
        large = asyncio.create_task(
            connector.call("echo", {"text": "x" * 500_000}, key="k", timeout_s=20, max_bytes=10)
        )
        await asyncio.sleep(0.05)
        late = Deadline(SLOW_S)
        waiting = asyncio.create_task(echo(connector, late))
        with pytest.raises(Unavailable, match="no connection within"):
            await connector.call("echo", {}, key="k", timeout_s=SLOW_S, max_bytes=1000)
        with pytest.raises(Unavailable, match="not sent: too late"):
            await waiting
        assert late.asked == 1
        assert (await large).truncated
        assert await echo(connector, Deadline(5)) == ToolResult("hi")
        assert heard.read_bytes().count(CALL) == 2, "what was given up is not sent later either"
