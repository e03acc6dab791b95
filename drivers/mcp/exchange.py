"""What do we know about one request that the SDK does not tell?

The SDK turns refused connections, lost streams and HTTP refusals into look-alikes of a server's answer, or
cancels the task group it lives in (mcp 2.3.0). So our transports note here what truly happened, and the
connector believes this before it believes an error of the SDK.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from drivers.crash import point
from governance.conversation import ToolResult
from governance.errors import DriverError, Unavailable

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""A longer message of a server is not read: it would be held in memory several times over."""

TOO_LARGE = f"The answer is larger than {MAX_MESSAGE_BYTES:,} bytes and was not read. Ask for less."


def at_any_time() -> None:
    """A request that is never too late."""


def nobody_waits() -> None:
    """A request whose sender has gone, having been told that it was not sent: so it is not. Raises `Unavailable`."""
    raise Unavailable("a request", "was given up before it was sent")


@dataclass
class Exchange:
    """One request on its way. Written by the transport, read by the connector."""

    in_time: Callable[[], None] | None = None
    """Raises `Unavailable` when it may be sent no more; None for what only makes a connection."""
    sent: bool = False
    """From here on the server may have acted, unless `verdict` proves otherwise."""
    verdict: DriverError | ToolResult | None = None
    """What truly happened, where that is not the server's own answer."""
    renew: bool = False
    """The server refused the request unread because it no longer knows this session."""

    def first_byte(self) -> None:
        """The transport is about to write; whatever may take long, such as connecting, lies behind it.

        Raises `Unavailable` when it is too late: not a byte of the request goes out.
        """
        if self.in_time is None:
            return
        self.in_time()
        if not self.sent:
            self.sent = True
            point("before-tool-send")


CURRENT: ContextVar[Exchange | None] = ContextVar("mcp_exchange", default=None)
"""The SDK sends each message in its sender's context (`shared/_context_streams.py`)."""


def too_large() -> ToolResult:
    """The tool did run; its answer did not fit."""
    return ToolResult(TOO_LARGE, is_error=True, truncated=True)
