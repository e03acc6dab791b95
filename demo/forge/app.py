"""How do three MCP servers, a journal and a page share one address and one token?"""

import asyncio
import hmac
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.forge.ci import Ci
from demo.forge.code import Code
from demo.forge.endpoint import Endpoint
from demo.forge.git import Bare
from demo.forge.page import page
from demo.forge.state import Row, State
from demo.forge.tickets import Tickets
from drivers.mcp.isolation import Isolation


def forge(
    repository: Path,
    state_file: Path,
    token: str,
    isolation: Isolation,
    tests: tuple[str, ...] = (),
) -> ASGIApp:
    """The whole forge as one ASGI application. `/` is open; the rest wants `Authorization: Bearer <token>`.

    `tests` are the paths its CI runs; whatever pytest finds by default.
    """
    state, git = State(state_file), Bare(repository)
    ci, moved = Ci(state, git, isolation, tests), asyncio.Event()
    endpoints = (
        Endpoint("github", Code(state, git, moved.set).tools(), state),
        Endpoint("ci", ci.tools(), state),
        Endpoint("linear", Tickets(state).tools(), state),
    )

    async def shown(request: Request) -> Response:
        return HTMLResponse(page(state))

    async def counted(request: Request) -> Response:
        return JSONResponse(_calls(state, request))

    routes: list[BaseRoute] = [Route("/", shown), Route("/_calls", counted)]
    for endpoint in endpoints:
        routes += endpoint.server.streamable_http_app(
            streamable_http_path=f"/{endpoint.name}/mcp"
        ).routes

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(state.close)
            for endpoint in endpoints:
                await stack.enter_async_context(endpoint.server.session_manager.run())
            watch = asyncio.create_task(_watch(ci, moved))
            yield
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    return _Guard(Starlette(routes=routes, lifespan=lifespan), token)


class _Guard:
    """Lets nobody in without the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, self._expected):
                refusal: Response = JSONResponse(
                    {"error": "a bearer token is needed"}, 401, {"www-authenticate": "Bearer"}
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _watch(ci: Ci, moved: asyncio.Event) -> None:
    """Run the tests at start and after every merge."""
    while True:
        moved.clear()
        await ci.newest()
        await moved.wait()


def _calls(state: State, request: Request) -> list[Row]:
    """Every call so far, oldest first: what a test asks to learn what truly happened."""
    rows: list[dict[str, Any]] = []
    for row in state.rows("SELECT * FROM calls ORDER BY id"):
        row["arguments"], row["result"] = json.loads(row["arguments"]), json.loads(row["result"])
        rows.append({**row, "is_error": bool(row["is_error"]), "replayed": bool(row["replayed"])})
    wanted = request.query_params
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]
