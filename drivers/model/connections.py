"""Which HTTP connections does this process hold to model providers?

One client per event loop, shared by all drivers: making one takes 44 ms, most of it the TLS context, and a
connection belongs to the loop it was opened in.
"""

import asyncio
from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

_open: dict[asyncio.AbstractEventLoop, tuple["httpx2.AsyncClient", AsyncGenerator[None]]] = {}


async def shared_client() -> "httpx2.AsyncClient":
    """The running loop's client; closed when the loop shuts down (`asyncio.run` and its like)."""
    loop = asyncio.get_running_loop()
    if loop not in _open:
        for gone in [other for other in list(_open) if other.is_closed()]:
            _open.pop(gone, None)
        client = _new_client()
        lifetime = _until_shutdown(loop, client)
        _open[loop] = (client, lifetime)
        await anext(lifetime)
    return _open[loop][0]


def _new_client() -> "httpx2.AsyncClient":
    from anthropic import DefaultAsyncHttpxClient

    # A redirect would send the conversation, and bill it, somewhere nobody approved. Cookies would tie together
    # the providers and keys that share this client.
    return DefaultAsyncHttpxClient(
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


async def _until_shutdown(
    loop: asyncio.AbstractEventLoop, client: "httpx2.AsyncClient"
) -> AsyncGenerator[None]:
    # A suspended async generator is the one thing a loop closes by itself, while it still runs.
    try:
        yield
    finally:
        _open.pop(loop, None)
        await client.aclose()
