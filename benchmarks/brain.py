"""A model that wants one tool used a given number of times, and then is done."""

import re
from typing import Any

from demo.model.brain import Brain, Options
from demo.model.view import Json, Move

TICKETS = ("NW-101", "NW-102", "NW-103")
_WANTED = re.compile(r"Make (\d+) looks")


def looker(options: Options) -> Brain:
    """The brain's factory; it has no options."""
    return look


def look(body: Json) -> Move:
    """The next look, by how many were made: nothing but the request is known here."""
    messages: list[dict[str, Any]] = body["messages"]
    made = sum(m["role"] == "assistant" for m in messages)
    wanted = _WANTED.search(_text(messages[0]["content"]))
    if wanted is None or made >= int(wanted[1]):
        return Move(f"I looked {made} times.")
    tool = next(t["name"] for t in body["tools"] if t["name"].endswith("get_ticket"))
    return Move("", ((tool, {"id": TICKETS[made % len(TICKETS)]}),))


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content)
