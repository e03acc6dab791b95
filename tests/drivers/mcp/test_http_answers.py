"""What each way an HTTP server can refuse or garble a call counts as."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable

import pytest

from drivers.mcp import McpConnector
from governance.conversation import ToolResult
from governance.errors import DriverError, Rejected, Unavailable, Unknown

CANARY = "canary-5f2e1d0c"
ECHO = "%" * len(f"Bearer {CANARY}")
"""In an answer: the credential the server was sent."""
Answer = bytes | None
DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "public",
}


class Bare:
    """An HTTP server by hand: it negotiates, and answers `tools/call` with the bytes it was given."""

    def __init__(self) -> None:
        self.raw: Answer = b""
        self.discover: Answer = None
        self.calls = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = head.decode().lower().split("\r\n")
                size = next(h for h in headers if h.startswith("content-length")).split(":")[1]
                message = json.loads(await reader.readexactly(int(size)))
                answer = self.answer(message, head)
                writer.write(answer or b"")
                await writer.drain()
                if self.calls:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def answer(self, message: dict[str, object], head: bytes) -> Answer:
        if message["method"] != "tools/call":
            if self.discover is not None:
                return self.discover
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": DISCOVERED}
            return http("200 OK", json.dumps(reply))
        self.calls += 1
        return self.raw and self.raw.replace(
            ECHO.encode(), head.split(b"authorization: ")[1][: len(ECHO)]
        )


def http(status: str, body: str, kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return (head + body).encode()


@pytest.fixture
async def bare() -> AsyncIterator[tuple[Bare, McpConnector]]:
    handler = Bare()
    server = await asyncio.start_server(handler.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    headers = {"authorization": f"Bearer {CANARY}"}
    async with server, McpConnector.http("bare", url, headers=headers, connect_s=5) as connector:
        yield handler, connector


def call(connector: McpConnector) -> Awaitable[ToolResult]:
    return connector.call("merge", {}, key="k", timeout_s=5, max_bytes=1000)


CASES: list[tuple[Answer, type[DriverError], str]] = [
    (http("401 Unauthorized", ECHO), Rejected, "refused our credential (HTTP 401). Renew it."),
    (http("403 Forbidden", "{}"), Rejected, "refused our credential (HTTP 403). Renew it."),
    (
        http(
            "403 Forbidden",
            json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ECHO}}),
        ),
        Rejected,
        "refused our credential (HTTP 403). Renew it.",
    ),
    (http("404 Not Found", ""), Rejected, "refused the request (HTTP 404). Check its URL."),
    (
        http("302 Found", "", more="location: http://elsewhere.example/\r\n"),
        Rejected,
        "refused the request (HTTP 302). Check its URL.",
    ),
    (
        http("429 Slow", "", more="retry-after: 7\r\n"),
        Unavailable,
        "asks us to slow down (HTTP 429)",
    ),
    (
        http("503 Unavailable", ECHO),
        Unknown,
        "was sent the request and gave no answer (HTTP 503 without a JSON-RPC answer)",
    ),
    (
        http("200 OK", "<html>" + ECHO + "</html>", "text/html"),
        Unknown,
        "was sent the request and gave no answer (HTTP 200 without a JSON-RPC answer)",
    ),
    (
        http("200 OK", "{" + ECHO),
        Unknown,
        "was sent the request and gave no answer (HTTP 200 without a JSON-RPC answer)",
    ),
    (
        http("202 Accepted", ""),
        Unknown,
        "was sent the request and gave no answer (HTTP 202 without a JSON-RPC answer)",
    ),
    (
        http("200 OK", '{"jsonrpc":"2.0","id":1,"resu').replace(b"length: 29", b"length: 99"),
        Unknown,
        "was sent the request and gave no answer (RemoteProtocolError)",
    ),
    (
        http("200 OK", 'event: message\ndata: {"jsonr', "text/event-stream"),
        Unknown,
        "was sent the request and gave no answer (no answer in the stream)",
    ),
    (
        http("200 OK", "not gzip", more="content-encoding: gzip\r\n"),
        Unknown,
        "was sent the request and gave no answer (DecodingError)",
    ),
    (
        http("200 OK", "[" * 100_000),
        Unknown,
        "was sent the request and gave no answer (HTTP 200 without a JSON-RPC answer)",
    ),
    (None, Unknown, "was sent the request and gave no answer (RemoteProtocolError)"),
]


@pytest.mark.parametrize(("raw", "kind", "detail"), CASES)
async def test_every_refusal_says_whether_it_may_have_happened(
    bare: tuple[Bare, McpConnector],
    raw: Answer,
    kind: type[DriverError],
    detail: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    handler, connector = bare
    handler.raw = raw
    with pytest.raises(DriverError) as failed:
        await call(connector)
    assert (type(failed.value), failed.value.detail) == (kind, detail)
    assert failed.value.retry_after_s == (7 if kind is Unavailable else None)
    assert handler.calls == 1
    assert CANARY not in caplog.text + repr(failed.value)
    assert failed.value.__cause__ is None


async def test_a_refused_credential_is_known_at_connect(bare: tuple[Bare, McpConnector]) -> None:
    handler, connector = bare
    handler.discover = http("401 Unauthorized", "")
    with pytest.raises(Rejected) as failed:
        await connector.tools()
    assert str(failed.value) == "connector 'bare': refused our credential (HTTP 401). Renew it."


async def test_a_wrong_path_is_known_at_connect(bare: tuple[Bare, McpConnector]) -> None:
    handler, connector = bare
    handler.discover = http("404 Not Found", "nothing here", "text/plain")
    with pytest.raises(Rejected) as failed:
        await connector.tools()
    assert str(failed.value) == "connector 'bare': refused the request (HTTP 404). Check its URL."


async def test_a_result_that_breaks_the_protocol_is_unknown(
    bare: tuple[Bare, McpConnector], caplog: pytest.LogCaptureFixture
) -> None:
    handler, connector = bare
    handler.raw = http(
        "200 OK", json.dumps({"jsonrpc": "2.0", "id": 2, "result": {"content": ECHO}})
    )
    with pytest.raises(Unknown) as failed:
        await call(connector)
    assert str(failed.value) == "connector 'bare': gave an answer that breaks the protocol"
    assert CANARY not in caplog.text


async def test_an_error_at_status_400_is_the_servers_answer(
    bare: tuple[Bare, McpConnector],
) -> None:
    handler, connector = bare
    body = '{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"title is missing"}}'
    handler.raw = http("400 Bad Request", body)
    assert await call(connector) == ToolResult("title is missing", is_error=True)


async def test_listing_that_fails_may_be_asked_again(bare: tuple[Bare, McpConnector]) -> None:
    handler, connector = bare
    with pytest.raises(DriverError):
        await call(connector)
    handler.discover = http("500 Oops", "")
    with pytest.raises(Unavailable):
        await connector.tools()


async def test_a_stalled_upload_or_answer_is_bounded(bare: tuple[Bare, McpConnector]) -> None:
    handler, connector = bare
    handler.raw = http("200 OK", "{}").replace(b"length: 2", b"length: 9")
    with pytest.raises(Unknown):
        await connector.call("merge", {}, key="k", timeout_s=0.5, max_bytes=100)
