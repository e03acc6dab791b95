"""What did a failed call of a model do: nothing, perhaps something, or will it never work?

Error texts are made from the fields a provider documents, never from its raw body or our headers, and the key is
taken out of them: a proxy may echo it.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from drivers.model.answer import Untrustworthy
from governance.errors import DriverError, Rejected, Unavailable, Unknown
from governance.guardrails import Screen

if TYPE_CHECKING:
    from anthropic import APIConnectionError, APIStatusError

_LONGEST = 500
_UNSPEAKABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)


def failure_of(exc: Exception, *, subject: str, key: str) -> DriverError:
    """The error of ours that says what `exc` means; it holds no reference to `exc`."""
    kind, detail, retry_after_s = _judge(exc)
    # Redacted before it is cut, so that no half of a key survives.
    clean = _UNSPEAKABLE.sub(" ", Screen().with_secret(key).text(detail))
    return kind(subject, clean[:_LONGEST], retry_after_s)


def _judge(exc: Exception) -> tuple[type[DriverError], str, float | None]:
    import httpx2
    from anthropic import APIConnectionError, APIStatusError

    if isinstance(exc, APIStatusError):
        return _status(exc)
    if isinstance(exc, APIConnectionError):
        return _connection(exc)
    if isinstance(exc, Untrustworthy):
        return Unknown, f"{exc}. It may be billed.", None
    if isinstance(exc, TimeoutError):
        return Unknown, "no whole answer came in time. It may be billed.", None
    if isinstance(exc, httpx2.InvalidURL):
        return Rejected, "the provider's URL is not one", None
    if isinstance(exc, UnicodeEncodeError):
        return Rejected, "the request holds text that is not Unicode (a lone surrogate)", None
    return Unknown, f"the answer broke off ({type(exc).__name__}). It may be billed.", None


def _status(exc: "APIStatusError") -> tuple[type[DriverError], str, float | None]:
    status, code = exc.status_code, exc.error_code
    named = " ".join(str(part) for part in (status, exc.type, code) if part)
    detail = f"{named}: {exc.api_message or 'no message'}"
    if exc.request_id:
        detail += f" (request {exc.request_id!r})"
    if status == 504:
        # A gateway gave up waiting for work that had begun.
        return Unknown, f"{detail}. It may be billed.", None
    # A ramp limit heals by itself, a spend limit only when a person raises it. Told by the code and not by the class:
    # anthropic 2.8 has no class for `contract_spend_limit_reached`.
    spent = status == 429 and "spend_limit" in (code or "")
    if not spent and (status in (408, 409, 429) or status >= 500):
        return Unavailable, detail, retry_after(exc.response.headers, datetime.now(UTC))
    return Rejected, detail, None


def _connection(exc: "APIConnectionError") -> tuple[type[DriverError], str, float | None]:
    import httpx2

    cause = exc.__cause__
    name = type(cause).__name__
    if isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return Unavailable, f"no connection could be made ({name})", None
    if isinstance(cause, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol):
        return Rejected, f"the request cannot be sent ({name}). Check the provider's URL.", None
    return (
        Unknown,
        f"the connection broke off ({name}) after sending began. It may be billed.",
        None,
    )


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds the far side asks to wait, exactly as many as it says; None when it says none that make sense.

    Absurd numbers are passed on: whoever waits must cap them.
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - now).total_seconds())
