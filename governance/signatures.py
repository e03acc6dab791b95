"""Did the one who holds the secret sign exactly these bytes, and just now?

Two ways to sign are known: Standard Webhooks (id, timestamp and body), and GitHub's (the body alone, so an old request
cannot be told by its signature; there the delivery id alone tells it).
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Scheme = Literal["standard", "github"]

TOLERANCE_S = 300
"""A Standard Webhooks timestamp may be off our clock by so much, either way."""

MOST_SIGNATURES = 8
"""Signatures of one request that are looked at; senders that rotate send two."""


@dataclass(frozen=True)
class Signed:
    """A request that its sender signed: the delivery's id, and what tells a repetition from a new signature."""

    delivery: str
    signature: str


@dataclass(frozen=True)
class Unsigned:
    """Why a request does not count as signed. It names no secret and repeats nothing of the request."""

    reason: str
    stale: bool = False


def check(
    scheme: Scheme, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now_s: float
) -> Signed | Unsigned:
    """Whether one of the secrets signed this. `headers` by lower-case name."""
    return (_standard if scheme == "standard" else _github)(headers, body, secrets, now_s)


def sign(secret: str, delivery: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of Standard Webhooks, as a sender makes it."""
    return "v1," + base64.b64encode(_digest(secret, delivery, timestamp, body)).decode()


def _standard(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now_s: float
) -> Signed | Unsigned:
    delivery = headers.get("webhook-id", "")
    said, given = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
    if not (delivery and said and given):
        return Unsigned("webhook-id, webhook-timestamp and webhook-signature are needed")
    if not (said.isascii() and said.isdigit() and len(said) <= 12):
        return Unsigned("webhook-timestamp is no number of seconds")
    matched = ""
    for one in given.split()[:MOST_SIGNATURES]:
        version, _, text = one.partition(",")
        for secret in secrets:
            wanted = _digest(secret, delivery, int(said), body)
            if hmac.compare_digest(wanted, _decoded(text)) and version == "v1":
                matched = wanted.hex()
    if not matched:
        return Unsigned("the signature does not fit")
    # Only a sender who holds the secret learns how our clock stands to theirs.
    off = now_s - int(said)
    if abs(off) > TOLERANCE_S:
        return Unsigned(f"its timestamp is off by {off:,.0f} of {TOLERANCE_S:,} s", stale=True)
    return Signed(delivery, matched)


def _github(
    headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now_s: float
) -> Signed | Unsigned:
    delivery, given = headers.get("x-github-delivery", ""), headers.get("x-hub-signature-256", "")
    if not (delivery and given):
        return Unsigned("X-GitHub-Delivery and X-Hub-Signature-256 are needed")
    for secret in secrets:
        wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(wanted.encode(), given.encode(errors="surrogatepass")):
            return Signed(delivery, wanted)
    return Unsigned("the signature does not fit")


def _digest(secret: str, delivery: str, timestamp: int, body: bytes) -> bytes:
    signed = f"{delivery}.{timestamp}.".encode(errors="surrogatepass") + body
    return hmac.new(_key(secret), signed, hashlib.sha256).digest()


def _key(secret: str) -> bytes:
    name, _, coded = secret.partition("_")
    return (_decoded(coded) if name == "whsec" else b"") or secret.encode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
