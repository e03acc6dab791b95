"""How is the Messages API called so that every outcome is one of ours?

The `anthropic` SDK makes and signs the request, opens the connection and splits the events; retries, waiting, reading
of the environment and tracing, which it would do by itself, are off, and its lenient reading of answers is not used.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from drivers.crash import point
from drivers.model.answer import Untrustworthy, reply_of
from drivers.model.connections import shared_client
from drivers.model.failures import failure_of
from drivers.model.render import Cache, counted_body, messages_body, wire
from drivers.model.stream import Stream
from governance.conversation import ModelRequest, Reply
from governance.errors import Rejected
from governance.parts import Json

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

T = TypeVar("T")

STREAM_OVER = 8192
"""Answers that may have more tokens than this are streamed: an idle connection is cut by what lies between."""
LARGEST_ANSWER = 32 * 2**20
"""Bytes; more is not read."""
CONNECT_S = 5.0
COUNT_S = 30.0


class AnthropicModel:
    """A provider that speaks the Messages API, with its key inside; implements `governance.ports.Model`.

    Usable from any event loop and by many tasks at once. It cannot be pickled: the key would be.
    """

    def __init__(self, base_url: str, api_key: str, *, cache: Cache = "5m") -> None:
        """Take the URL above `/v1/messages` and the key; neither is ever read from the environment.

        Raises `Rejected` for a URL that names no host over HTTP, and for a key no header can carry.
        """
        self._host = _host(base_url)
        if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise Rejected(
                f"model provider {self._host!r}", "its key is empty or not printable ASCII"
            )
        self._base_url, self._api_key = base_url, api_key
        self._cache: Cache = cache
        self._bound: tuple[httpx2.AsyncClient, AsyncAnthropic] | None = None

    def __repr__(self) -> str:
        return f"AnthropicModel({self._host!r})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a model driver holds a key and is not pickled; make it where it is used")

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> Reply:
        """One whole answer within `timeout_s` seconds, from the first byte sent to the last one read.

        Raises:
            Unavailable: Surely not begun or turned away unbilled; `retry_after_s` is what the far side asked for.
            Unknown: It may be billed, and no answer came that can be acted on and accounted for.
            Rejected: The same request will fail again, an exhausted spend limit included.
        """
        body = messages_body(request, self._cache)
        point("before-model-send")
        if request.max_tokens > STREAM_OVER:
            work = self._streamed({**body, "stream": True}, timeout_s)
        else:
            work = self._whole(body, timeout_s)
        reply = await self._judged(work, request.model, timeout_s)
        point("after-model-reply")
        return reply

    async def count(self, request: ModelRequest) -> int:
        """The provider's own estimate of the request's input tokens. Raises as `reply`; it is never billed."""
        work = self._counted(counted_body(request, self._cache))
        return await self._judged(work, request.model, COUNT_S)

    async def _judged(self, work: Coroutine[Any, Any, T], model: str, timeout_s: float) -> T:
        import httpx2
        from anthropic import AnthropicError

        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except (
            AnthropicError, httpx2.HTTPError, httpx2.InvalidURL, Untrustworthy, TimeoutError,
            UnicodeEncodeError,
        ) as exc:  # fmt: skip
            failure = failure_of(
                exc, subject=f"model {model!r} at {self._host!r}", key=self._api_key
            )
        # Raised out here so that it is not chained: the SDK's error holds the request, and with it the key.
        raise failure

    async def _whole(self, body: Json, timeout_s: float) -> Reply:
        async with aclosing(await self._post("/v1/messages", body, timeout_s)) as response:
            return reply_of(await _json(response), response.headers.get("request-id"))

    async def _streamed(self, body: Json, timeout_s: float) -> Reply:
        from anthropic import AsyncStream

        stream, size = Stream(), 0
        async with aclosing(await self._post("/v1/messages", body, timeout_s)) as response:
            async with aclosing(cast(Any, AsyncStream.raw_events(response))) as events:
                async for event in events:
                    size += len(event.data)
                    if size > LARGEST_ANSWER:
                        raise Untrustworthy(_too_large())
                    if event.data:
                        stream.feed(event.data)
            return reply_of(stream.message(), response.headers.get("request-id"))

    async def _counted(self, body: Json) -> int:
        async with aclosing(
            await self._post("/v1/messages/count_tokens", body, COUNT_S)
        ) as response:
            counted = await _json(response)
        tokens = cast(Json, counted).get("input_tokens") if isinstance(counted, dict) else None
        if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
            raise Untrustworthy("the count of tokens is not a count")
        return tokens

    async def _post(self, path: str, body: Json, timeout_s: float) -> "httpx2.Response":
        """The response, open and with nothing of its body read."""
        import httpx2
        from anthropic import AsyncStream

        # Connecting has its own limit, so that a host that does not answer is known not to have been asked.
        connect = min(CONNECT_S, timeout_s / 2)
        timeout = httpx2.Timeout(timeout_s, connect=connect, pool=connect)
        response = await (await self._sdk()).post(
            path,
            cast_to=httpx2.Response,
            content=wire(body),
            options={"timeout": timeout},
            stream=True,
            stream_cls=AsyncStream[object],
        )
        return cast("httpx2.Response", response)

    async def _sdk(self) -> "AsyncAnthropic":
        http = await shared_client()
        if self._bound is None or self._bound[0] is not http:
            self._bound = (http, self._new_sdk(http))
        return self._bound[1]

    def _new_sdk(self, http: "httpx2.AsyncClient") -> "AsyncAnthropic":
        from anthropic import AsyncAnthropic

        # At debug level, which ANTHROPIC_LOG alone can set, the SDK logs whole conversations.
        logging.getLogger("anthropic").setLevel(logging.WARNING)
        sdk = AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            webhook_key="",
            http_client=http,
            max_retries=0,
            open_telemetry=False,
        )
        # ANTHROPIC_CUSTOM_HEADERS is read whatever is passed, and could replace the key (2.8.0, `_client.py`).
        sdk._custom_headers = {}  # pyright: ignore[reportPrivateUsage]
        return sdk


def _host(base_url: str) -> str:
    """Host and port; never the user and password a URL may hold."""
    try:
        url = urlsplit(base_url)
        valid = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        valid, url = False, None
    if not valid or url is None:
        raise Rejected(
            "model provider", "its URL is none. Write it as https://host, without /v1/messages."
        )
    return url.netloc.rpartition("@")[2]


async def _json(response: "httpx2.Response") -> object:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise Untrustworthy(_too_large())
    try:
        return json.loads(body)
    except ValueError as exc:
        raise Untrustworthy("the body is not JSON") from exc


def _too_large() -> str:
    return f"the answer is larger than {LARGEST_ANSWER:,} bytes"
