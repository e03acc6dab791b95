"""How many tokens can a request have at most?"""

import unicodedata
from collections.abc import Iterable
from typing import Any, cast

from governance.conversation import ModelRequest
from governance.parts import Json, canonical

MESSAGE_TOKENS = 16
"""Role and delimiters of one message."""
BLOCK_TOKENS = 16
"""Delimiters of one content block or tool."""
TOOLS_TOKENS = 1024
"""The provider's own system prompt for tool use; the largest one published is 804 tokens."""
SCHEMA_TOKENS = 1024
"""The provider's own system prompt for an answer by schema, without the schema."""
_UNBOUNDED = frozenset({"image", "document", "file", "container_upload"})


def input_bound(request: ModelRequest) -> int:
    """Input tokens the request cannot exceed.

    A tokenizer works on the UTF-8 bytes of the text, as written or after Unicode normalisation (NFKC, which may
    lengthen it), and every token covers at least one byte: so text never has more tokens than its longer spelling
    has bytes. The wire form of tools, schema and messages only adds bytes to what the model reads (quotes, escapes,
    field names, encrypted thinking). What the provider adds by itself is the overhead named above, per message,
    block and tool, and once for tools and for a schema.

    Raises:
        ValueError: The request carries an image, a document or a file, whose tokens its bytes do not bound.
    """
    return frame_bound(request) + sum(map(message_bound, request.messages))


def message_bound(message: Json) -> int:
    """The part of `input_bound` that one message has. Raises `ValueError` as it does."""
    blocks = list(_blocks(message.get("content")))
    odd = sorted({str(block["type"]) for block in blocks if block.get("type") in _UNBOUNDED})
    if odd:
        raise ValueError(
            f"a message carries {', '.join(map(repr, odd))}: its tokens cannot be bounded by its bytes. "
            "Send text only."
        )
    return _bytes(canonical(message)) + MESSAGE_TOKENS + BLOCK_TOKENS * len(blocks)


def frame_bound(request: ModelRequest) -> int:
    """The part of `input_bound` that is not messages: system prompt, tools and schema."""
    bound = _bytes(request.system) + BLOCK_TOKENS
    for tool in request.tools:
        wire = [tool.name, tool.description, tool.input_schema]
        bound += _bytes(canonical(wire)) + BLOCK_TOKENS
    if request.tools:
        bound += TOOLS_TOKENS
    if request.schema is not None:
        bound += _bytes(canonical(request.schema)) + SCHEMA_TOKENS
    return bound


def _bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    normal = unicodedata.normalize("NFKC", text)
    return max(
        len(text.encode("utf-8", "surrogatepass")), len(normal.encode("utf-8", "surrogatepass"))
    )


def _blocks(content: Any) -> Iterable[Json]:
    """The blocks of a message, those inside tool results too."""
    if not isinstance(content, list):
        return
    for block in cast(list[Json], content):
        yield block
        yield from _blocks(block.get("content"))
