"""How does a signed request from outside fire a loop?

What is let in is on record with its firing before the sender is answered; Prefect may be away meanwhile.
"""

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import Literal

from prefect.logging import get_logger
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from blocks import WebhookSender
from governance.definition import Loop
from governance.errors import DefinitionError
from governance.firing import MAX_PAYLOAD, wrong_delivery
from governance.signatures import Signed, Unsigned, check
from tasks.outbox import UNSENT, drain
from tasks.world import World, now_ms, open_world

logger = get_logger("looprail.gateway")

KEPT_S = 15.0
"""So long the registry and a secret are taken as they were read: strangers cannot make us read at their pace."""

Kind = Literal[
    "unknown", "oversized", "unsigned", "stale", "malformed", "replayed", "other", "away"
]
STATUS: dict[Kind, int] = {
    "unknown": 404, "oversized": 413, "unsigned": 401, "stale": 401, "malformed": 400,
    "replayed": 409, "other": 409, "away": 503,
}  # fmt: skip


@dataclass(frozen=True)
class Refusal:
    """Nothing was fired; `kind` is counted, `detail` is told to the sender."""

    kind: Kind
    detail: str


@dataclass(frozen=True)
class Delivered:
    """It is on record and will fire, or has fired before (`again`)."""

    delivery: str
    again: bool


@dataclass
class Hooks:
    """The doors that loops have opened to senders, and how often each kind of request came."""

    clock: Callable[[], float] = time.time
    world: Callable[[], AbstractAsyncContextManager[World]] = open_world
    sender: Callable[[str], Awaitable[WebhookSender]] = WebhookSender.aload
    counts: Counter[str] = field(default_factory=Counter[str])
    _world: World | None = field(default=None, init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack, init=False)
    _opened: float = field(default=0.0, init=False)
    _secrets: dict[str, tuple[float, WebhookSender]] = field(
        default_factory=dict[str, tuple[float, WebhookSender]], init=False
    )

    async def hook(self, request: Request) -> JSONResponse:
        """`POST /hooks/<loop>`: 202 with the delivery, or a refusal that says why and fires nothing."""
        loop = str(request.path_params["loop"])
        said = await self._take(loop, request)
        if isinstance(said, Refusal):
            self.counts[said.kind] += 1
            logger.warning("refused (%s): a request to /hooks/%.48r", said.kind, loop)
            return JSONResponse({"refused": said.kind, "detail": said.detail}, STATUS[said.kind])
        self.counts["again" if said.again else "taken"] += 1
        return JSONResponse({"loop": loop, "delivery": said.delivery, "again": said.again}, 202)

    async def close(self) -> None:
        """Let go of the world."""
        self._world = None
        await self._stack.aclose()

    async def _take(self, name: str, request: Request) -> Delivered | Refusal:
        world = await self._open()
        if isinstance(world, Refusal):
            return world
        loop = world.registry.loops.get(name)
        if loop is None or loop.trigger.webhook is None:
            return Refusal("unknown", "no loop of this name takes webhooks")
        body = await _body(request)
        if isinstance(body, Refusal):
            return body
        signed = await self._signed(loop.trigger.webhook, request, body)
        if isinstance(signed, Refusal):
            return signed
        payload = _payload(body)
        if wrong := wrong_delivery(signed.delivery, payload):
            return Refusal("malformed", wrong)
        if payload is None:
            return Refusal("malformed", "the body is no JSON in UTF-8")
        return await _deliver(world, loop, signed, payload)

    async def _open(self) -> World | Refusal:
        if self._world is None or time.monotonic() - self._opened > KEPT_S:
            stack = AsyncExitStack()
            try:
                self._world = await stack.enter_async_context(self.world())
            except (DefinitionError, *UNSENT) as error:
                logger.error("the registry or the store cannot be read: %s", error)
                return self._world or Refusal("away", "not now; send it again later")
            before, self._stack, self._opened = self._stack, stack, time.monotonic()
            await before.aclose()
        return self._world

    async def _signed(self, webhook: str, request: Request, body: bytes) -> Signed | Refusal:
        block = await self._block(webhook)
        if block is None:
            return Refusal("away", "not now; send it again later")
        secrets = [s.get_secret_value() for s in (block.secret, block.previous) if s is not None]
        said = check(block.scheme, request.headers, body, secrets, self.clock())
        if isinstance(said, Unsigned):
            return Refusal("stale" if said.stale else "unsigned", said.reason)
        return said

    async def _block(self, name: str) -> WebhookSender | None:
        read, block = self._secrets.get(name, (0.0, None))
        if block is None or time.monotonic() - read > KEPT_S:
            try:
                block = await self.sender(name)
            except UNSENT as error:
                logger.error("block 'webhook-sender/%s' cannot be read: %s", name, error)
                return None
            self._secrets[name] = time.monotonic(), block
        return block


async def _body(request: Request) -> bytes | Refusal:
    """The body, never more of it than may be kept."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_PAYLOAD:
                return Refusal("oversized", f"a payload has {MAX_PAYLOAD:,} bytes at most")
    except ClientDisconnect:
        return Refusal("malformed", "the request ended before its body")
    return bytes(body)


def _payload(body: bytes) -> str | None:
    """The body as text; None for what is no JSON, since nobody could say what it holds."""
    try:
        text = body.decode()
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return text


async def _deliver(world: World, loop: Loop, signed: Signed, payload: str) -> Delivered | Refusal:
    said = await world.store.deliver(
        loop.name, signed.delivery, signed=signed.signature, payload=payload, now=now_ms()
    )
    if said == "other":
        return Refusal(said, f"delivery {signed.delivery!r} was taken before, with other content")
    if said == "replayed":
        return Refusal(said, f"delivery {signed.delivery!r} was taken before, byte for byte")
    await drain(world, only="fire")
    return Delivered(signed.delivery, again=said == "again")
