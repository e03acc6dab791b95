"""How does the scripted model speak the Messages API?"""

import asyncio
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from demo.model.bill import PRICE_LIST, Bill, Call
from demo.model.brain import Brain
from demo.model.faults import Fault, Faults
from demo.model.prefix_cache import PrefixCache, TooManyBreakpoints, counted
from demo.model.reports import REPORTS
from demo.model.view import Json, view_of
from demo.model.wire import error_body, event_bytes, events_of, message_of

_REQUESTS_KEPT = 200
_HANG_S = 3600.0


@dataclass
class Provider:
    """One provider: who may call it, what it answers, what goes wrong, and what it has charged."""

    brain: Brain
    key: str | None = None
    """The only key that is let in; None lets any in."""
    admin_key: str | None = None
    """The only key that reads the usage report; None: nobody does."""
    latency_s: float = 0.0
    faults: Faults = field(default_factory=Faults)
    cache: PrefixCache = field(default_factory=lambda: PrefixCache(monotonic))
    bill: Bill = field(default_factory=Bill)
    requests: deque[Json] = field(default_factory=lambda: deque[Json](maxlen=_REQUESTS_KEPT))
    number: int = 0

    def __post_init__(self) -> None:
        # After a restart ids go on, so that each stands on the bill once.
        self.number = len(self.bill.messages)

    def app(self) -> Starlette:
        """The ASGI application: the Messages API, and the oracle's own paths, which begin with `/_`."""
        return Starlette(
            routes=[
                Route("/v1/messages", self._known(self._messages), methods=["POST"]),
                Route("/v1/messages/count_tokens", self._known(self._count), methods=["POST"]),
                Route("/v1/models", self._known(self._models), methods=["GET"]),
                *(
                    Route(f"/v1/organizations/{path}", self._admin(told), methods=["GET"])
                    for path, told in REPORTS.items()
                ),
                Route("/_bill", self._show_bill, methods=["GET"]),
                Route("/_messages", self._show_charged, methods=["GET"]),
                Route("/_faults", self._set_faults, methods=["POST"]),
                Route("/_faults", self._show_faults, methods=["GET"]),
                Route("/_faults", self._clear_faults, methods=["DELETE"]),
                Route("/_requests", self._show_requests, methods=["GET"]),
            ]
        )

    def _known(
        self, answer: Callable[[Request, str], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def authenticated(request: Request) -> Response:
            bearer = request.headers.get("authorization", "").partition("Bearer ")[2]
            key = bearer or request.headers.get("x-api-key", "")
            if not key or (
                self.key is not None and not hmac.compare_digest(key.encode(), self.key.encode())
            ):
                return _error(401, "authentication_error", "invalid x-api-key")
            return await answer(request, key)

        return authenticated

    def _admin(
        self, told: Callable[[Sequence[Call], QueryParams], Json]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if self.admin_key is None or request.headers.get("x-api-key") != self.admin_key:
                return _error(401, "authentication_error", "invalid x-api-key")
            try:
                return JSONResponse(told(self.bill.calls, request.query_params))
            except ValueError as exc:
                return _error(400, "invalid_request_error", str(exc))

        return answer

    async def _messages(self, request: Request, key: str) -> Response:
        body = await _body(request)
        problem = _problem(body)
        if body is None or problem:
            return problem or _error(400, "invalid_request_error", "the body is not JSON")
        self._note(request, body)
        await asyncio.sleep(self.latency_s)
        fault = self.faults.next("/v1/messages", body, view_of(body).role)
        if fault and (refusal := _refusal(fault, request)):
            return refusal
        try:
            tokens = self.cache.admit(key, body)
        except TooManyBreakpoints as exc:
            return _error(400, "invalid_request_error", str(exc))
        self.number += 1
        message = message_of(self.brain(body), body, tokens, self.number)
        self.bill.charge(
            message["id"], str(body["model"]), tokens, int(message["usage"]["output_tokens"])
        )
        return await self._deliver(message, fault, streamed=body.get("stream") is True)

    async def _deliver(self, message: Json, fault: Fault | None, *, streamed: bool) -> Response:
        if fault and fault.kind == "held":
            await self.faults.until_taken_back()
        elif fault:
            await asyncio.sleep(_HANG_S if fault.kind == "hang" else fault.seconds)
            if fault.kind == "html":
                page = "<html><body>Welcome to the proxy</body></html>"
                return Response(page, media_type="text/html")
            _alter(message, fault)
        whole = fault is None or fault.kind in ("slow", "held", "stop", "odd_block")
        if whole:
            self.bill.answered(message["id"])
        headers = {"request-id": f"req_{message['id']}"}
        if streamed:
            events = _events(message, None if whole else fault)
            return StreamingResponse(events, headers=headers, media_type="text/event-stream")
        text = json.dumps(message).encode()
        if fault and fault.kind in ("truncated", "malformed", "stream_error"):
            text = text[: len(text) // 2]
        return Response(text, headers=headers, media_type="application/json")

    async def _count(self, request: Request, key: str) -> Response:
        body = await _body(request)
        problem = _problem({"max_tokens": 1, **body} if body else body)
        if body is None or problem:
            return problem or _error(400, "invalid_request_error", "the body is not JSON")
        self._note(request, body)
        fault = self.faults.next("/v1/messages/count_tokens", body, view_of(body).role)
        if fault and (refusal := _refusal(fault, request)):
            return refusal
        return JSONResponse({} if fault else {"input_tokens": counted(body)})

    async def _models(self, request: Request, key: str) -> Response:
        listed = [{"id": name, "type": "model", "display_name": name} for name in PRICE_LIST]
        return JSONResponse({"data": listed, "has_more": False})

    def _note(self, request: Request, body: Json) -> None:
        secret = ("authorization", "x-api-key", "cookie")
        headers = {n: v for n, v in request.headers.items() if n not in secret}
        self.requests.append({"path": request.url.path, "headers": headers, "body": body})

    async def _show_bill(self, request: Request) -> Response:
        return JSONResponse(self.bill.as_json())

    async def _show_charged(self, request: Request) -> Response:
        return JSONResponse(self.bill.messages)

    async def _show_requests(self, request: Request) -> Response:
        return JSONResponse(list(self.requests))

    async def _show_faults(self, request: Request) -> Response:
        return JSONResponse([fault.model_dump() for fault in self.faults.waiting])

    async def _clear_faults(self, request: Request) -> Response:
        self.faults.take_back()
        return Response(status_code=204)

    async def _set_faults(self, request: Request) -> Response:
        try:
            self.faults.set(await request.json())
        except (ValidationError, json.JSONDecodeError) as exc:
            return JSONResponse({"problem": str(exc)}, 422)
        return await self._show_faults(request)


async def _body(request: Request) -> Json | None:
    try:
        body = await request.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _problem(body: Json | None) -> Response | None:
    if body is None:
        return None
    for name in ("model", "messages", "max_tokens"):
        if not body.get(name):
            return _error(400, "invalid_request_error", f"{name}: Field required")
    if body["model"] not in PRICE_LIST:
        return _error(404, "not_found_error", f"model: {body['model']}")
    return None


def _refusal(fault: Fault, request: Request) -> Response | None:
    if fault.kind == "redirect":
        return Response(status_code=307, headers={"location": fault.location})
    if fault.kind != "status":
        return None
    echoed = fault.message.replace("{authorization}", request.headers.get("authorization", ""))
    body = error_body(fault.error, echoed, fault.error_code)
    return JSONResponse(body, fault.status, {"request-id": "req_scripted", **fault.headers})


def _alter(message: Json, fault: Fault) -> None:
    if fault.kind == "stop":
        message["stop_reason"] = fault.stop
    elif fault.kind == "odd_block":
        message["content"].append({"type": "hologram", "data": [1, 2]})
    elif fault.kind == "no_usage":
        del message["usage"]


def _error(status: int, kind: str, text: str) -> Response:
    return JSONResponse(error_body(kind, text), status, {"request-id": "req_scripted"})


async def _events(message: Json, broken: Fault | None) -> AsyncIterator[bytes]:
    events = list(events_of(message))
    half = len(events) // 2
    for at, (name, data) in enumerate(events):
        if broken and broken.kind != "no_usage" and at == half:
            if broken.kind == "malformed":
                yield b'event: content_block_delta\ndata: {"type": "content_block_\n\n'
            if broken.kind == "stream_error":
                yield event_bytes(
                    "error", {"error": {"type": broken.error, "message": broken.message}}
                )
            return
        yield event_bytes(name, data)
        await asyncio.sleep(0)
