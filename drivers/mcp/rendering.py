"""What does a model get to see of a tool's answer?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from drivers.crash import point
from governance.conversation import ToolResult
from governance.guardrails import Screen
from governance.parts import Json, canonical

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ContentBlock, InputRequiredResult
    from pydantic import TypeAdapter

WANTS_INPUT = (
    "This tool asks for input from a person before it goes on, which an unattended loop has not. "
    "Nothing was answered. Use another tool, or other arguments."
)


_SHORTEST = 8
"""Shorter parts of a credential, such as its scheme, are too common to be taken out wherever they occur."""


def screen_of(credentials: Mapping[str, str]) -> Screen:
    """What takes them out of all that a server says: whoever holds one can say it."""
    # `Bearer <token>` is echoed with and without its scheme.
    parts = {part for c in credentials.values() for part in (c, *c.split())}
    return Screen(tuple(sorted(part for part in parts if len(part) >= _SHORTEST)))


@cache
def answers() -> TypeAdapter[CallToolResult | InputRequiredResult]:
    """What a call can be answered with."""
    from mcp.types import CallToolResult, InputRequiredResult
    from pydantic import TypeAdapter

    return TypeAdapter(CallToolResult | InputRequiredResult)


def render(answer: CallToolResult, screen: Screen, max_bytes: int) -> ToolResult:
    """The answer as text of at most `max_bytes` UTF-8 bytes, without our credentials."""
    point("after-tool-reply")
    structured = _structured(answer.structured_content)
    text = "\n".join(_line(block) for block in answer.content)
    if not answer.content and structured is not None:
        text = canonical(answer.structured_content)
    if structured is not None:
        structured = screen.json(structured)
    shown, cut = clip(screen.text(text), max_bytes)
    if structured is not None and len(canonical(structured).encode()) > max_bytes:
        structured, cut = None, True
    return ToolResult(shown, is_error=answer.is_error, structured=structured, truncated=cut)


def clip(text: str, max_bytes: int) -> tuple[str, bool]:
    """The text within `max_bytes` UTF-8 bytes, a marker of the cut included, and whether it was cut."""
    data = text.encode()
    if len(data) <= max_bytes:
        return text, False
    marker = f"\n[cut here: {len(data):,} bytes in all, at most {max_bytes:,} are shown]"
    room = max(0, max_bytes - len(marker.encode()))
    return data[:room].decode(errors="ignore") + marker, True


def _structured(content: object) -> Json | None:
    # 2026-07-28 allows any JSON value; ours is an object, so the others are wrapped as the SDK's servers do.
    if content is None or isinstance(content, dict):
        return content
    return {"result": content}


def _line(block: ContentBlock) -> str:
    from mcp import types

    if isinstance(block, types.TextContent):
        return block.text
    if isinstance(block, types.ImageContent | types.AudioContent):
        return f"[{block.type} {block.mime_type}, {_size(block.data):,} bytes, not shown]"
    if isinstance(block, types.ResourceLink):
        return f"[link to resource {block.uri}, not fetched]"
    resource = block.resource
    if isinstance(resource, types.TextResourceContents):
        return f"[resource {resource.uri}]\n{resource.text}"
    return f"[resource {resource.uri}, {_size(resource.blob):,} bytes, not shown]"


def _size(encoded: str) -> int:
    return len(encoded.rstrip("=")) * 3 // 4
