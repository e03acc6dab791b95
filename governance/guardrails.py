"""Does this text carry a secret that we hold?

The only zero-miss rule is an exact match of every secret the process holds, in each form it is likely to
travel in. It runs on everything that goes to a model, a tool, a log, the store or a person.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

MIN_SECRET = 6
"""Shorter values are words, not secrets: replacing them would destroy text without protecting anything."""

REDACTED = "[secret]"
"""What stands where a secret stood."""


def forms(secret: str) -> tuple[str, ...]:
    """The spellings of a secret that are looked for: raw, hex, URL, JSON, and base64 at each byte offset."""
    raw = secret.encode()
    found = [secret, raw.hex(), raw.hex().upper(), quote(secret, safe=""), json.dumps(secret)[1:-1]]
    for pad in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # The middle of the encoding is the same wherever the secret starts; its ends depend on neighbours.
            text = encode(b"\0" * pad + raw).decode().rstrip("=")
            start = (0, 2, 3)[pad]
            end = len(text) - (1 if (len(raw) + pad) % 3 else 0)
            found.append(text[start:end])
    return tuple(sorted({f for f in found if len(f) >= MIN_SECRET}, key=len, reverse=True))


@dataclass(frozen=True)
class Screen:
    """Replaces every known secret by `[secret]`. `redact` twice is `redact` once."""

    secrets: tuple[str, ...] = field(default=(), repr=False)

    def with_secret(self, secret: str) -> "Screen":
        """This screen, knowing one more secret."""
        if len(secret) < MIN_SECRET or secret in self.secrets:
            return self
        return Screen((*self.secrets, secret))

    def text(self, value: str) -> str:
        """The text without any secret."""
        pattern = self._pattern()
        return pattern.sub(REDACTED, value) if pattern else value

    def json(self, value: Any) -> Any:
        """The JSON value without any secret, in keys as well as in values."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(k)): self.json(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(v) for v in value]
        return value

    def clean(self, value: Any) -> bool:
        """Whether nothing had to be replaced."""
        return self.json(value) == value

    def _pattern(self) -> re.Pattern[str] | None:
        return _compile(self.secrets)


_COMPILED: dict[tuple[str, ...], re.Pattern[str] | None] = {}


def _compile(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    if secrets not in _COMPILED:
        every = sorted({f for s in secrets for f in forms(s)}, key=len, reverse=True)
        # What was redacted before is taken whole, or a secret "secret" would be redacted inside it.
        either = "|".join(map(re.escape, (REDACTED, *every)))
        _COMPILED[secrets] = re.compile(either) if every else None
    return _COMPILED[secrets]
