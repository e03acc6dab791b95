"""Does a text from a server carry a credential of ours?

The one rule without misses: every credential the connector holds is looked for by its exact value and its
usual encodings, in whatever a server says.
"""

import base64
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

MASK = "[credential]"
_SHORTEST = 8
"""Shorter values are too common to be replaced wherever they occur."""


def _forms(value: str) -> set[str]:
    raw = value.encode()
    encoded = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode(), raw.hex()}
    stems = {form.rstrip("=") for form in encoded}
    return {value, quote(value, safe=""), json.dumps(value)[1:-1], *encoded, *stems}


class Mask:
    """Replaces the credentials it was made with."""

    def __init__(self, credentials: Iterable[str]) -> None:
        # `Bearer <token>` is echoed with and without its scheme.
        values = {part for c in credentials for part in (c, *c.split()) if len(part) >= _SHORTEST}
        forms = {form for value in values for form in _forms(value)}
        self._forms = tuple(sorted(forms, key=len, reverse=True))

    def text(self, text: str) -> str:
        """The text without them."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def json(self, value: Any) -> Any:
        """The JSON value without them, in keys and in strings."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(element) for element in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self.json(element) for key, element in value.items()}
        return value
