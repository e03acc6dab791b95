"""What do we know about one request that the SDK does not tell?

The SDK turns refused connections, lost streams and HTTP refusals into look-alikes of a server's answer, or
cancels the task group it lives in (mcp 2.3.0). So our transports note here what truly happened, and the
connector believes this before it believes an error of the SDK.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from drivers.crash import point
from governance.conversation import ToolResult
from governance.errors import DriverError

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""A longer message of a server is not read: it would be held in memory several times over."""

TOO_LARGE = f"The answer is larger than {MAX_MESSAGE_BYTES:,} bytes and was not read. Ask for less."


@dataclass
class Exchange:
    """One request on its way. Written by the transport, read by the connector."""

    sent: bool = False
    """From here on the server may have acted, unless `verdict` proves otherwise."""
    verdict: DriverError | ToolResult | None = None
    """What truly happened, where that is not the server's own answer."""
    renew: bool = False
    """The server refused the request unread because it no longer knows this session."""

    def begin(self) -> None:
        """The request goes out now."""
        self.sent = True
        point("before-tool-send")


CURRENT: ContextVar[Exchange | None] = ContextVar("mcp_exchange", default=None)
"""The SDK sends each message in its sender's context (`shared/_context_streams.py`)."""


def too_large() -> ToolResult:
    """The tool did run; its answer did not fit."""
    return ToolResult(TOO_LARGE, is_error=True, truncated=True)
