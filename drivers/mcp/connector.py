"""What came of asking an MCP server for its tools, or to run one?"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.mcp.exchange import CURRENT, TOO_LARGE, Exchange, at_any_time, nobody_waits
from drivers.mcp.isolation import Bind, Isolation, Launch, fenced, plain
from drivers.mcp.listing import accept, list_all
from drivers.mcp.rendering import WANTS_INPUT, answers, clip, render, screen_of
from drivers.mcp.upstream import Connection, Upstream
from governance.conversation import ToolResult, ToolSpec
from governance.errors import DriverError, Rejected, Unavailable, Unknown
from governance.guardrails import Screen
from governance.parts import Json

if TYPE_CHECKING:
    from mcp.client import ClientSession
    from mcp.shared.exceptions import MCPError

    from drivers.mcp.upstream import Link

IDEMPOTENCY_KEY = "looprail/idempotency-key"
"""Where in `_meta` a call's key stands. A convention: most servers ignore it."""

_T = TypeVar("_T")
_LIST_S = 30.0


class McpConnector:
    """One MCP server with its credential inside, over streamable HTTP or as a local process.

    Connects at first use and again after a failure, for one event loop. Offers no sampling and no roots.
    """

    def __init__(
        self, name: str, link: Callable[[], Link], screen: Screen, connect_s: float
    ) -> None:
        self._subject = f"connector {name!r}"
        self._upstream = Upstream(self._subject, link, connect_s)
        self._screen = screen
        self._left_out: Mapping[str, str] = {}

    @classmethod
    def http(
        cls, name: str, url: str, *, headers: Mapping[str, str] | None = None, connect_s: float = 30
    ) -> McpConnector:
        """Over streamable HTTP; `headers` carry the credential and are never shown."""
        from drivers.mcp.streamable import HttpLink

        subject, held = f"connector {name!r}", dict(headers or {})

        # A function and not a partial: the latter would show the headers wherever it is printed.
        def link() -> HttpLink:
            return HttpLink(subject, url, held)

        return cls(name, link, screen_of(held), connect_s)

    @classmethod
    def stdio(
        cls,
        name: str,
        command: tuple[str, ...],
        *,
        env: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        private: tuple[IPv4Network, ...] | None = None,
        cwd: str | None = None,
        binds: tuple[Bind, ...] = (),
        hidden: tuple[str, ...] = (),
        isolation: Isolation = "bubblewrap",
        connect_s: float = 30,
    ) -> McpConnector:
        """As a local process of `command`, which sees PATH, HOME, LANG and what is declared, nothing else.

        Args:
            name: What it is called in errors.
            command: The program, looked up in our PATH, and its arguments.
            env: Variables with credentials; their values are masked in all that the server says.
            settings: Variables that may be shown.
            private: With it the process has a network: public addresses and these; never this machine's.
            cwd: Where it starts, seen by it; its empty home by default.
            binds: Paths of this machine it may see, each `ro` or `rw`. Its own program is seen anyway.
            hidden: Directories below a bind that it must not see, such as our state.
            isolation: `none` only by explicit declaration: the process then reads and reaches what this user may.
            connect_s: How long its start and the first exchange may take.
        """
        from drivers.mcp.stdio import StdioLink

        subject = f"connector {name!r}"
        variables = {**(settings or {}), **(env or {})}

        def link() -> StdioLink:
            if isolation == "none":
                home = tempfile.TemporaryDirectory(prefix="looprail-mcp-")
                start = partial(plain, subject, command, env=variables, home=home.name, cwd=cwd)
                return StdioLink(subject, start, home.cleanup)
            fence: Callable[[], Launch] = partial(
                fenced, subject, command, env=variables, binds=binds, hidden=hidden,
                private=private, cwd=cwd,
            )  # fmt: skip
            return StdioLink(subject, fence, lambda: None)

        return cls(name, link, screen_of(env or {}), connect_s)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Tools of the last listing that were not taken, with the reason."""
        return self._left_out

    async def __aenter__(self) -> McpConnector:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.close()

    async def close(self) -> None:
        """End connection and process. Safe to repeat; a later call connects anew."""
        await self._upstream.close()

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Every tool it offers now. Raises `Unavailable`, `Rejected`."""
        try:
            answer = await self._ask(lambda session: list_all(session, self._subject), _LIST_S)
        except Unknown as error:
            # Listing changes nothing, so it may simply be asked again.
            raise Unavailable(error.subject, error.detail) from None
        if isinstance(answer, ToolResult):
            raise Rejected(self._subject, f"does not list its tools: {answer.text}")
        taken, self._left_out = accept(answer, self._screen)
        return taken

    async def call(
        self, tool: str, arguments: Json, *, key: str, timeout_s: float, max_bytes: int,
        in_time: Callable[[], None] = at_any_time,
    ) -> ToolResult:  # fmt: skip
        """One call, with `key` sent as idempotency key; connecting counts towards `timeout_s`.

        `in_time` is called when the connection stands and its first byte is next; what it raises stops it.

        Raises:
            Unavailable: It surely did not start.
            Unknown: It was sent, and no trustworthy answer came.
            Rejected: The server refused our credential or our request.
        """
        from mcp import types

        # Not `session.call_tool`: it throws the answer away when it breaks the tool's own output schema.
        kinds = answers()
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(
                name=tool, arguments=arguments, _meta={IDEMPOTENCY_KEY: key}
            )
        )
        answer = await self._ask(lambda s: s.send_request(request, kinds), timeout_s, in_time)
        if isinstance(answer, types.CallToolResult):
            return render(answer, self._screen, max_bytes)
        if isinstance(answer, types.InputRequiredResult):
            return ToolResult(WANTS_INPUT, is_error=True)
        text, cut = clip(answer.text, max_bytes)
        return ToolResult(text, is_error=True, truncated=answer.truncated or cut)

    async def _ask(
        self, send: Callable[[ClientSession], Awaitable[_T]], timeout_s: float,
        in_time: Callable[[], None] = at_any_time,
    ) -> _T | ToolResult:  # fmt: skip
        """The answer, or what the server said instead of one."""
        from pydantic import ValidationError

        exchange, connection = Exchange(in_time), None
        token = CURRENT.set(exchange)
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._upstream.connection()
                answer = await self._once(connection, send, exchange)
                if answer is None:
                    connection = await self._upstream.connection()
                    again = partial(self._relisted, send)
                    answer = await self._once(connection, again, exchange, last=True)
        except TimeoutError:
            if connection is not None:
                connection.suspect = True
            if not exchange.sent:
                exchange.in_time = nobody_waits
                raise Unavailable(self._subject, f"no connection within {timeout_s:g} s") from None
            raise Unknown(self._subject, f"gave no answer within {timeout_s:g} s") from None
        except ValidationError:
            raise Unknown(self._subject, "gave an answer that breaks the protocol") from None
        except DriverError as error:
            detail = self._screen.text(error.detail)
            raise type(error)(error.subject, detail, error.retry_after_s) from None
        finally:
            CURRENT.reset(token)
        assert answer is not None
        return answer

    async def _once(
        self,
        connection: Connection,
        send: Callable[[ClientSession], Awaitable[_T]],
        exchange: Exchange,
        *,
        last: bool = False,
    ) -> _T | ToolResult | None:
        """One try; None when the server refused it unread and a fresh start may help."""
        from mcp.shared.exceptions import MCPError
        from mcp.types import HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION

        try:
            return await send(connection.session)
        except MCPError as error:
            unread = exchange.renew or error.code in (HEADER_MISMATCH, UNSUPPORTED_PROTOCOL_VERSION)
            if unread and not last:
                exchange.sent = False
                self._upstream.drop(connection)
                return None
            return self._instead(error, exchange, connection)

    async def _relisted(
        self, send: Callable[[ClientSession], Awaitable[_T]], session: ClientSession
    ) -> _T:
        """The request after a listing, which tells the SDK what the server wants to see in headers."""
        await list_all(session, self._subject)
        return await send(session)

    def _instead(self, error: MCPError, exchange: Exchange, connection: Connection) -> ToolResult:
        """What an error of the SDK stands for. Raises what the transport knows better."""
        from mcp.types import URL_ELICITATION_REQUIRED

        if isinstance(exchange.verdict, ToolResult):
            return exchange.verdict
        if exchange.verdict is not None:
            raise exchange.verdict
        if not connection.alive:
            words = connection.link.last_words()
            raise Unknown(self._subject, f"closed the connection before it answered. {words}")
        if error.code == URL_ELICITATION_REQUIRED:
            return ToolResult(WANTS_INPUT, is_error=True)
        said = self._screen.text(error.message)
        return ToolResult(said, is_error=True, truncated=error.message == TOO_LARGE)
