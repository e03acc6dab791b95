"""What does the gateway answer?"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from gateway.hooks import Hooks


def gateway(hooks: Hooks | None = None) -> Starlette:
    """`POST /hooks/<loop>` for signed deliveries; `GET /health` says how many were taken and refused, by kind."""
    doors = hooks or Hooks()

    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"ok": True, "requests": dict(sorted(doors.counts.items()))})

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await doors.close()

    return Starlette(
        routes=[
            Route("/hooks/{loop}", doors.hook, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ],
        lifespan=lifespan,
    )
