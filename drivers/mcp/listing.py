"""Which tools does a server offer, and under which names do we accept them?"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from governance.conversation import ToolSpec
from governance.errors import Rejected
from governance.guardrails import Screen

if TYPE_CHECKING:
    from mcp.client.session import ClientSession
    from mcp.types import Tool

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_PAGES = 100


async def list_all(session: ClientSession, subject: str) -> tuple[Tool, ...]:
    """Every page of `tools/list`. Raises `Rejected` when there is no end to them."""
    from mcp.types import PaginatedRequestParams

    offered: list[Tool] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        offered.extend(page.tools)
        cursor = page.next_cursor
        if cursor is None:
            return tuple(offered)
    raise Rejected(subject, f"has more than {_PAGES} pages of tools")


def accept(
    offered: tuple[Tool, ...], screen: Screen
) -> tuple[tuple[ToolSpec, ...], dict[str, str]]:
    """The tools we take, without our credentials, and for each that we leave out the reason.

    Of two tools with one name neither is taken: which of them a call would reach is the server's secret.
    """
    seen = Counter(tool.name.casefold() for tool in offered)
    taken: list[ToolSpec] = []
    left_out: dict[str, str] = {}
    for tool in offered:
        if not _NAME.fullmatch(tool.name):
            left_out[screen.text(ascii(tool.name)[1:-1])] = (
                "a name is 1 to 128 of A-Z a-z 0-9 _ . -"
            )
        elif not screen.clean(tool.name):
            left_out[screen.text(tool.name)] = "its name holds a credential of ours"
        elif seen[tool.name.casefold()] > 1:
            left_out[tool.name] = (
                f"offered {seen[tool.name.casefold()]} times, upper and lower case taken as equal"
            )
        else:
            taken.append(_spec(tool, screen))
    return tuple(taken), left_out


def _spec(tool: Tool, screen: Screen) -> ToolSpec:
    hints = tool.annotations
    return ToolSpec(
        name=tool.name,
        description=screen.text(tool.description or ""),
        input_schema=screen.json(tool.input_schema),
        read_only=hints.read_only_hint if hints else None,
        destructive=hints.destructive_hint if hints else None,
        idempotent=hints.idempotent_hint if hints else None,
        open_world=hints.open_world_hint if hints else None,
    )
