"""How is a local MCP server started, spoken to and ended?

Not by the SDK's `stdio_client` (mcp 2.3.0): it adds variables of our environment, reads lines without a limit
and hands the server our stderr.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Any

from drivers.mcp.exchange import CURRENT, MAX_MESSAGE_BYTES, TOO_LARGE
from drivers.mcp.isolation import Launch
from drivers.mcp.outbound import Outbound
from governance.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream
    from mcp.client._transport import TransportStreams
    from mcp.shared._context_streams import ContextReceiveStream
    from mcp.shared.message import SessionMessage

_CHUNK = 65_536
_HEAD_BYTES = 4_096
_STDERR_BYTES = 2_000
_ID = re.compile(rb'"id"\s*:\s*(\d{1,18})\b')
_GRACE_S = 2.0
_LAST_WORDS_S = 0.2


class StdioLink:
    """The streams of one server process, entered by the SDK's client."""

    def __init__(
        self, subject: str, prepare: Callable[[], Launch], release: Callable[[], None]
    ) -> None:
        self._subject, self._prepare, self._release = subject, prepare, release
        self._process: asyncio.subprocess.Process | None = None
        self._outbound: Outbound | None = None
        self._stderr = bytearray()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.closed = False
        """The process has ended, or no longer speaks."""

    def last_words(self) -> str:
        """How it ended, and the end of what it wrote to stderr."""
        code = self._process.returncode if self._process else None
        ended = "closed its output" if code is None else f"ended with exit code {code}"
        said = self._stderr.decode(errors="replace").strip()
        return f"The process {ended} and wrote to stderr: {said or 'nothing'}"

    async def __aenter__(self) -> TransportStreams:
        import anyio
        from mcp.shared._context_streams import create_context_streams
        from mcp.shared.message import SessionMessage

        try:
            process = await self._start(self._prepare())
        except BaseException:
            self._kill()
            await self._undo()
            raise
        inbound_end, inbound = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outbound, outbound_end = create_context_streams[SessionMessage](0)
        parts = (
            self._receive(process, inbound_end), self._send(process, outbound_end, inbound_end),
            self._overhear(process),
        )  # fmt: skip
        self._tasks = tuple(asyncio.create_task(part) for part in parts)
        return inbound, outbound

    async def __aexit__(self, *error: Any) -> None:
        self.closed = True
        try:
            await asyncio.shield(asyncio.create_task(self._end()))
        except asyncio.CancelledError:
            self._kill()
            raise
        finally:
            await self._undo()

    async def _undo(self) -> None:
        if self._outbound:
            await self._outbound.close()
        self._release()

    async def _start(self, launch: Launch) -> asyncio.subprocess.Process:
        outbound = None if launch.private is None else Outbound(self._subject, launch.private)
        self._outbound = outbound
        program, *arguments = launch.argv
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *(outbound.options if outbound else ()),
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(launch.env),
                cwd=launch.cwd,
                pass_fds=outbound.descriptors if outbound else (),
                start_new_session=True,
            )
        except OSError as error:
            raise Rejected(self._subject, f"cannot be started: {error.strerror}") from None
        self._process = process
        if outbound:
            await outbound.connect()
        return process

    async def _receive(
        self,
        process: asyncio.subprocess.Process,
        inbound: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        import anyio

        assert process.stdout
        with inbound, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await _read_lines(process.stdout, inbound)
            # Before the stream closes: whoever wakes up from that asks whether we are closed, and why.
            self.closed = True
            with suppress(TimeoutError):
                await asyncio.wait_for(_gone(process), _LAST_WORDS_S)

    async def _send(
        self,
        process: asyncio.subprocess.Process,
        outbound: ContextReceiveStream[SessionMessage],
        inbound: MemoryObjectSendStream[SessionMessage | Exception],
    ) -> None:
        assert process.stdin
        # Nothing stays behind in our own buffer: what is judged to be in time is written then.
        process.stdin.transport.set_write_buffer_limits(0)
        async with outbound:
            async for item in outbound:
                if await _too_late(item, outbound.last_context, inbound):
                    continue
                line = item.message.model_dump_json(by_alias=True, exclude_unset=True) + "\n"
                with suppress(ConnectionError):  # the end of stdout tells
                    process.stdin.write(line.encode())
                    await process.stdin.drain()

    async def _overhear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr
        while chunk := await process.stderr.read(_CHUNK):
            self._stderr = (self._stderr + chunk)[-_STDERR_BYTES:]

    async def _end(self) -> None:
        """Close stdin, wait, then kill the process group: the order the specification asks for."""
        process = self._process
        assert process
        assert process.stdin
        process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(_gone(process)), _GRACE_S)
        self._kill()
        await asyncio.wait({asyncio.create_task(_gone(process))}, timeout=_GRACE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        # A surviving grandchild would keep the pipes open; nothing public closes our ends of them.
        getattr(process, "_transport").close()  # noqa: B009

    def _kill(self) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


async def _too_late(
    item: SessionMessage,
    sender: Context | None,
    inbound: MemoryObjectSendStream[SessionMessage | Exception],
) -> bool:
    """Whether this request may be sent no more; then its sender is answered in the server's place."""
    import anyio
    from mcp.types import CONNECTION_CLOSED, JSONRPCRequest

    exchange = sender.get(CURRENT) if sender else None
    if exchange is None or not isinstance(item.message, JSONRPCRequest):
        return False
    try:
        exchange.first_byte()
    except Unavailable as late:
        exchange.verdict = late
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await inbound.send(_error(item.message.id, CONNECTION_CLOSED, late.detail))
        return True
    return False


async def _gone(process: asyncio.subprocess.Process) -> None:
    # Not `process.wait()`: it also waits for pipes that a grandchild may hold (asyncio, Python 3.11).
    while process.returncode is None:
        await asyncio.sleep(0.01)


async def _read_lines(
    stdout: asyncio.StreamReader, inbound: MemoryObjectSendStream[SessionMessage | Exception]
) -> None:
    buffer, skipping = bytearray(), False
    while chunk := await stdout.read(_CHUNK):
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            if not skipping:
                await _hand_on(bytes(buffer + end), inbound)
            buffer, skipping = bytearray(), False
        buffer += b"" if skipping else rest
        if len(buffer) > MAX_MESSAGE_BYTES:
            await _refuse(bytes(buffer[:_HEAD_BYTES]), inbound)
            buffer, skipping = bytearray(), True


async def _hand_on(
    line: bytes, inbound: MemoryObjectSendStream[SessionMessage | Exception]
) -> None:
    from mcp.shared.message import SessionMessage
    from mcp.types import jsonrpc_message_adapter

    # Banners and log lines on stdout are common; nobody waits for them.
    with suppress(ValueError):
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        await inbound.send(SessionMessage(message))


async def _refuse(head: bytes, inbound: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
    """Answer in the server's place: of an answer that is too large only its id is read."""
    from mcp.types import INTERNAL_ERROR

    if found := _ID.search(head):
        await inbound.send(_error(int(found[1]), INTERNAL_ERROR, TOO_LARGE))


def _error(request: str | int, code: int, message: str) -> SessionMessage:
    from mcp.shared.message import SessionMessage
    from mcp.types import ErrorData, JSONRPCError

    error = ErrorData(code=code, message=message)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=request, error=error))
