"""What truly happened to a request to an MCP server over HTTP?"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2

from drivers.mcp.exchange import CURRENT, MAX_MESSAGE_BYTES, Exchange, too_large
from governance.conversation import ToolResult
from governance.errors import DriverError, Rejected, Unavailable, Unknown

if TYPE_CHECKING:
    from mcp.client import Transport
    from mcp.client._transport import TransportStreams

_CONNECT_S = 10.0
_GOODBYE_S = 2.0
_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)
_SESSION = "mcp-session-id"


class HttpLink:
    """The streams of one connection over streamable HTTP, entered by the SDK's client."""

    closed = False
    """A server that is down shows in each request; there is no connection to lose."""

    def __init__(self, subject: str, url: str, headers: Mapping[str, str]) -> None:
        self._streams: Transport = _open(subject, url, headers)

    def last_words(self) -> str:
        """Nothing: what went wrong stands in the verdict of the exchange."""
        return ""

    async def __aenter__(self) -> TransportStreams:
        return await self._streams.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._streams.__aexit__(*error)


@asynccontextmanager
async def _open(
    subject: str, url: str, headers: Mapping[str, str]
) -> AsyncGenerator[TransportStreams]:
    from mcp.client.streamable_http import streamable_http_client

    async with (
        httpx2.AsyncClient(
            # Compressed bodies are not asked for: the cap below counts bytes as they arrive.
            headers={**headers, "accept-encoding": "identity"},
            timeout=httpx2.Timeout(_CONNECT_S, read=None),  # every call has its own timeout
            transport=_Watched(subject, httpx2.AsyncHTTPTransport()),
        ) as client,
        streamable_http_client(
            url, http_client=client, max_sse_event_size=MAX_MESSAGE_BYTES
        ) as streams,
    ):
        yield streams


class _Watched(httpx2.AsyncBaseTransport):
    """Notes the fate of each request on its exchange, and answers 503 where the SDK would fall over.

    An exception in here cancels the task group of the SDK's client and with it whoever waits (mcp 2.3.0).
    """

    def __init__(self, subject: str, inner: httpx2.AsyncHTTPTransport) -> None:
        self._subject, self._inner = subject, inner

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = CURRENT.get()
        if exchange is None or request.method != "POST" or not _is_call(request.content):
            exchange = Exchange()
        exchange.verdict, exchange.renew = None, False
        request.extensions["trace"] = _before_the_first_byte(exchange)
        if request.method == "DELETE":  # the end of a session is a courtesy, not worth a wait
            request.extensions["timeout"] = httpx2.Timeout(_GOODBYE_S).as_dict()
        try:
            response = await self._inner.handle_async_request(request)
            return await self._judged(request, response, exchange)
        except _NOT_SENT as error:
            verdict = Unavailable(self._subject, f"cannot be reached ({type(error).__name__})")
        except httpx2.RequestError as error:
            verdict = self._lost(type(error).__name__)
        except Unavailable as late:
            verdict = late
        return _give_up(exchange, verdict)

    async def _judged(
        self, request: httpx2.Request, response: httpx2.Response, exchange: Exchange
    ) -> httpx2.Response:
        kind = response.headers.get("content-type", "").lower()
        if response.status_code == 200 and kind.startswith("text/event-stream"):
            stream = _WatchedEvents(response, exchange, self._lost("no answer in the stream"))
            return httpx2.Response(200, headers=response.headers, stream=stream)
        body = await _read(response)
        if body is None:
            return _give_up(exchange, too_large())
        known = httpx2.Response(response.status_code, headers=_plain(response), content=body)
        exchange.renew = response.status_code in (400, 404) and _SESSION in request.headers
        if not _is_answer(body) or response.status_code in (401, 403, 407):
            exchange.verdict = self._refusal(response)
            if response.status_code == 200:
                return _give_up(exchange, exchange.verdict)
        return known

    def _refusal(self, response: httpx2.Response) -> DriverError:
        status = response.status_code
        if status in (401, 403, 407):
            return Rejected(self._subject, f"refused our credential (HTTP {status}). Renew it.")
        if status == 429:
            wait = response.headers.get("retry-after", "")
            after = float(wait) if wait.isdigit() else None
            return Unavailable(self._subject, "asks us to slow down (HTTP 429)", after)
        if status in (200, 202, 408) or status >= 500:
            return self._lost(f"HTTP {status} without a JSON-RPC answer")
        return Rejected(self._subject, f"refused the request (HTTP {status}). Check its URL.")

    def _lost(self, why: str) -> Unknown:
        return Unknown(self._subject, f"was sent the request and gave no answer ({why})")


class _WatchedEvents(httpx2.AsyncByteStream):
    """An event stream; when it ends by itself, the answer had not come: the SDK closes it after the answer."""

    def __init__(self, response: httpx2.Response, exchange: Exchange, lost: Unknown) -> None:
        self._response, self._exchange, self._lost = response, exchange, lost

    async def __aiter__(self) -> AsyncIterator[bytes]:
        event_bytes = 0
        self._exchange.verdict = None
        try:
            async for chunk in self._response.aiter_raw():
                end = max(chunk.rfind(b"\n\n"), chunk.rfind(b"\r\n\r\n"))
                event_bytes = event_bytes + len(chunk) if end < 0 else len(chunk) - end
                if event_bytes > MAX_MESSAGE_BYTES:
                    self._exchange.verdict = too_large()
                    return
                yield chunk
        except httpx2.RequestError:
            self._exchange.verdict = self._lost
            return
        self._exchange.verdict = self._lost

    async def aclose(self) -> None:
        await self._response.aclose()


def _before_the_first_byte(exchange: Exchange) -> Callable[[str, object], Awaitable[None]]:
    """A hook of httpcore: it is called once the connection, with its TLS, is there to be written to."""

    async def hook(event: str, _: object) -> None:
        if event.endswith(".send_request_headers.started"):
            exchange.first_byte()

    return hook


def _give_up(exchange: Exchange, verdict: DriverError | ToolResult) -> httpx2.Response:
    exchange.verdict = verdict
    return httpx2.Response(503)


def _plain(response: httpx2.Response) -> dict[str, str]:
    """The headers that still hold once the body was read."""
    gone = ("content-encoding", "content-length", "transfer-encoding")
    return {name: value for name, value in response.headers.items() if name not in gone}


async def _read(response: httpx2.Response) -> bytes | None:
    """The whole body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    try:
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > MAX_MESSAGE_BYTES:
                return None
            parts.append(chunk)
    finally:
        await response.aclose()
    return b"".join(parts)


def _is_call(content: bytes) -> bool:
    """Whether this JSON-RPC message is a request of ours: notifications and answers share its context."""
    message = json.loads(content)
    return "id" in message and "method" in message


def _is_answer(body: bytes) -> bool:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and ("result" in message or "error" in message)
