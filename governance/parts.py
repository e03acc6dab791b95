"""What are all our values made of?"""

import hashlib
from decimal import Decimal
from json import encoder
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Json = dict[str, Any]
"""A JSON object as it goes over the wire."""

Key = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=200)]
"""Lower case, digits and dashes: a dot in a Prefect pause key makes the run impossible to resume."""

DAY_MS = 86_400_000
"""A day of Unix milliseconds; UTC days begin at its multiples."""

PICO = 10**12
"""Money is counted in whole pico-USD (1e-12 USD), so that SQL can compare and add it exactly."""


class Part(BaseModel):
    """A frozen value that refuses fields it does not know; its attribute docstrings reach the JSON Schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON value")


_pieces = encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, _refuse, encoder.encode_basestring, None, ":", ",", True, False, False
)
"""What `json.dumps(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)` spells with.

Made once: it would be made anew for every value, and one call spells ten for the ledger, at three times the cost.
"""


def canonical(value: object) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return "".join(_pieces(value, 0))


def digest(value: object) -> str:
    """SHA-256 over the canonical spelling, as `sha256:<hex>`; bytes and text are taken as they are."""
    if isinstance(value, str):
        value = value.encode()
    data = value if isinstance(value, bytes) else canonical(value).encode()
    return "sha256:" + hashlib.sha256(data).hexdigest()


def short_id(prefix: str, *parts: str) -> str:
    """A repeatable id (`<prefix><12 hex>`) named by what it stands for, so a replay finds the same row."""
    return prefix + hashlib.sha256(canonical(parts).encode()).hexdigest()[:12]


def pico(usd: Decimal) -> int:
    """USD as whole pico-USD, rounded up: a reservation is never too small."""
    amount = usd * PICO
    whole = int(amount)
    return whole if whole == amount else whole + 1


def usd(amount: int) -> Decimal:
    """Whole pico-USD as USD."""
    return Decimal(amount) / PICO
