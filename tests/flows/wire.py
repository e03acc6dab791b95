"""A wire between a connector and its server that can be cut, at the call it is told, once for each cut."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Cut = Literal["before", "after", "hang"]
"""Before the server has heard of the call; after it has made it, its answer lost; or after it, and silence."""


@dataclass
class Wire:
    """Passes HTTP requests on to `upstream` and their answers back, a connection each."""

    upstream: str
    cuts: dict[str, Cut] = field(default_factory=dict[str, Cut])
    """By tool; gone when it has happened."""
    happened: list[str] = field(default_factory=list[str])
    port: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    @property
    def url(self) -> str:
        """Where a connector finds it."""
        return f"http://127.0.0.1:{self.port}{urlsplit(self.upstream).path}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One more connection."""
        task = asyncio.ensure_future(self._serve(reader, writer))
        self.serving.add(task)
        task.add_done_callback(self.serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            cut = self._cut(body)
            if cut != "before":
                await self._pass_on(head, body, writer, silent=cut is not None)
            if cut == "hang":
                await asyncio.sleep(3600)

    def _cut(self, body: bytes) -> Cut | None:
        asked = json.loads(body or b"{}")
        name = asked["params"]["name"] if asked.get("method") == "tools/call" else ""
        if name in self.cuts:
            self.happened.append(name)
        return self.cuts.pop(name, None)

    async def _pass_on(
        self, head: bytes, body: bytes, writer: asyncio.StreamWriter, *, silent: bool
    ) -> None:
        host, port = urlsplit(self.upstream).hostname, urlsplit(self.upstream).port
        up_reader, up_writer = await asyncio.open_connection(host, port)
        line, _, rest = head.partition(b"\r\n")
        kept = [
            h
            for h in rest.split(b"\r\n")
            if h and not h.lower().startswith((b"connection:", b"host:"))
        ]
        told = [line, f"Host: {host}:{port}".encode(), b"Connection: close", *kept, b"", b""]
        with closing(up_writer):
            up_writer.write(b"\r\n".join(told) + body)
            while piece := await up_reader.read(65_536):
                if not silent:
                    writer.write(piece)
                    await writer.drain()


@asynccontextmanager
async def wire_to(upstream: str) -> AsyncGenerator[Wire]:
    """A wire to a server; it may be cut from now on."""
    wire = Wire(upstream)
    served = await asyncio.start_server(wire.accept, "127.0.0.1", 0)
    wire.port = served.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        served.close()
        for task in wire.serving:
            task.cancel()
        await asyncio.gather(*wire.serving, return_exceptions=True)
