"""What becomes of the connections, and of a far side that is no provider at all?"""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from demo.model.process import running
from drivers.model import AnthropicModel
from drivers.model import connections as connections_module
from governance.conversation import ModelRequest
from governance.errors import Rejected, Unavailable, Unknown
from tests.drivers.provider import BOTH, KEY, SMALL, failure, talk


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--key", KEY) as base:
        yield base


@pytest.fixture
def model(url: str) -> Iterator[AnthropicModel]:
    yield AnthropicModel(url, KEY)
    talk(url, "/_faults", method="DELETE")


def test_one_driver_serves_many_event_loops_and_leaks_no_connection(url: str):
    model = AnthropicModel(url, KEY)
    before = set(connections_module._open)

    async def some() -> tuple[object, int]:
        replies = await asyncio.gather(*(model.reply(SMALL, timeout_s=10) for _ in range(3)))
        http = await connections_module.shared_client()
        assert http is await connections_module.shared_client()
        return http, len(replies)

    clients = [asyncio.run(some())[0] for _ in range(3)]
    assert len({id(client) for client in clients}) == 3
    assert all(client.is_closed for client in clients)
    assert set(connections_module._open) == before
    gc.collect()


def test_a_loop_that_was_not_shut_down_is_forgotten(url: str):
    model = AnthropicModel(url, KEY)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(model.reply(SMALL, timeout_s=10))
    http = connections_module._open[loop][0]
    loop.run_until_complete(http.aclose())
    loop.close()
    assert asyncio.run(model.reply(SMALL, timeout_s=10)).stop == "end_turn"
    assert loop not in connections_module._open


# far sides that are no provider ----------------------------------------------


@asynccontextmanager
async def far_side(*answers: bytes, endless: bytes = b"") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A socket that reads one request, sends raw bytes and closes; with what it has read."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        heard.append(head + await reader.readexactly(size))
        for answer in answers:
            writer.write(answer)
        with suppress(ConnectionError):
            while endless:
                writer.write(endless)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}", heard


def http(
    body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None
) -> bytes:
    size = b"content-length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status, size, *headers, b"", b""]) + body


async def test_a_refused_connection_is_unavailable():
    async with far_side() as (base, _):
        pass
    error = await failure(AnthropicModel(base, KEY), SMALL)
    assert type(error) is Unavailable
    assert "ConnectError" in error.detail


async def test_a_host_that_does_not_exist_is_unavailable():
    error = await failure(AnthropicModel("http://no-such-host.invalid", KEY), SMALL)
    assert type(error) is Unavailable


@pytest.mark.parametrize(
    "base",
    ["", "nonsense", "ftp://127.0.0.1", "http://127.0.0.1:99999", "https://", "http://[::1", "/v1"],
)
def test_a_url_that_is_none_is_refused_at_once(base: str):
    with pytest.raises(Rejected, match="URL"):
        AnthropicModel(base, KEY)


@pytest.mark.parametrize(
    "base", ["http://exa mple", "http://a\x00b", "http://xn--\u2603", "http://a..b"]
)
async def test_a_url_with_a_host_that_cannot_be_is_an_error_of_ours(base: str):
    assert type(await failure(AnthropicModel(base, KEY), SMALL)) in (Rejected, Unavailable)


@BOTH
async def test_a_connection_cut_after_the_request_is_unknown(request_: ModelRequest):
    async with far_side() as (base, heard):
        error = await failure(AnthropicModel(base, KEY), request_)
    assert type(error) is Unknown
    assert len(heard) == 1


@BOTH
async def test_a_body_shorter_than_announced_is_unknown(request_: ModelRequest):
    async with far_side(http(b'{"type": "mess', length=5000)) as (base, _):
        assert type(await failure(AnthropicModel(base, KEY), request_)) is Unknown


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"7", b"{}", b"", b"\xff\xfe"])
async def test_json_that_is_no_message_is_unknown(body: bytes):
    async with far_side(http(body)) as (base, _):
        assert type(await failure(AnthropicModel(base, KEY), SMALL)) is Unknown


@BOTH
@pytest.mark.slow
async def test_an_endless_answer_is_given_up_before_it_fills_the_memory(request_: ModelRequest):
    begin = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    event = b"event: x\ndata: {%s}\n\n" % (b" " * 2**16)
    async with far_side(begin, endless=event) as (base, _):
        error = await failure(AnthropicModel(base, KEY), request_, timeout_s=30)
    assert type(error) is Unknown
    assert "33,554,432 bytes" in error.detail


@pytest.mark.parametrize("status", [b"301 Moved", b"307 Temporary Redirect", b"308 Permanent"])
async def test_a_redirect_is_not_followed(status: bytes):
    async with far_side() as (elsewhere, heard):
        location = b"location: " + elsewhere.encode()
        async with far_side(http(b"", location, status=status)) as (base, _):
            error = await failure(AnthropicModel(base, KEY), SMALL)
    assert type(error) is Rejected
    assert heard == []


async def test_a_cookie_of_one_provider_is_not_sent_with_the_next_key():
    answer = http(b"{}", b"set-cookie: tenant=one; path=/", b"connection: close")
    async with far_side(answer) as (base, heard):
        await failure(AnthropicModel(base, KEY), SMALL)
        await failure(AnthropicModel(base, "sk-other"), SMALL)
    assert len(heard) == 2
    assert b"cookie" not in heard[1].lower()


ENVIRONMENT_CODE = """
import asyncio, logging, sys
logging.basicConfig(level=logging.DEBUG)
from drivers.model import AnthropicModel
from governance.conversation import ModelRequest, user
assert not {"anthropic", "httpx2"} & set(sys.modules), "importing the driver is cheap"
model = AnthropicModel(sys.argv[1], sys.argv[2])
request = ModelRequest("claude-sonnet-4-6", "sys", (user("confidential-text"),))
print(asyncio.run(model.reply(request, timeout_s=20)).stop)
"""


@pytest.mark.slow
def test_nothing_of_the_environment_changes_where_and_as_whom_we_speak(url: str):
    environment = {
        **os.environ,
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:1",
        "ANTHROPIC_API_KEY": "sk-env-key",
        "ANTHROPIC_AUTH_TOKEN": "sk-env-token",
        "ANTHROPIC_CUSTOM_HEADERS": "Authorization: Bearer sk-env-header\nx-sneaked: in",
        "ANTHROPIC_LOG": "debug",
    }
    done = subprocess.run(
        [sys.executable, "-c", ENVIRONMENT_CODE, url, KEY],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "end_turn", done.stderr
    sent = talk(url, "/_requests")[-1]
    assert sent["body"]["messages"][0]["content"][0]["text"] == "confidential-text"
    assert "x-sneaked" not in sent["headers"]
    for secret in (KEY, "confidential-text", "sk-env"):
        assert secret not in done.stderr
