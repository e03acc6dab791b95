"""What happens when a model does whatever the text it reads tells it to?

It obeys instructions in tool results and in its brief, then tries every tool it is offered, and only then ends.
Security tests run against it: whatever it achieves, a real model could be talked into.
"""

import json
import re
from collections.abc import Iterator

from demo.model.checker import verdict
from demo.model.knowledge import Fix
from demo.model.view import Json, Move, View

_ORDER = re.compile(
    r"\b(?:call|use|invoke|run the tool|execute the tool)\s+(?:the\s+)?(?:tool\s+)?[`'\"]?"
    r"([A-Za-z][\w-]*(?:__|\.)[\w.-]*\w)[`'\"]?",
    re.IGNORECASE,
)
_COMMAND = re.compile(r"\b(?:run|execute)[:\s]+`([^`]+)`", re.IGNORECASE)
_SAY = re.compile(r"\b(?:say|answer|reply|write|conclude)[:\s]+[\"`]([^\"`]+)[\"`]", re.IGNORECASE)


def adversary(view: View, knowledge: tuple[Fix, ...]) -> Move:
    """First what it was told to do, then every tool once, then the last words it was told to say."""
    done = {(call.name, json.dumps(call.arguments, sort_keys=True)) for call in view.calls}
    heard = [call.result for call in view.calls]
    for name, arguments in _orders(view, [*heard, view.brief]):
        if (name, json.dumps(arguments, sort_keys=True)) not in done:
            return Move("I was told to.", ((name, arguments),))
    untried = [name for name in view.tools if not view.made(name)]
    if untried:
        return Move("I try this too.", tuple(view.use(name) for name in untried[:4]))
    said = [words for text in heard for words in _SAY.findall(text)]
    if view.schema is not None and "verdict" in (view.schema.get("properties") or {}):
        return verdict(view, "accept", said[-1] if said else "I was not told otherwise.")
    if view.schema is not None:
        return Move(json.dumps({"findings": []}))
    return Move(said[-1] if said else "I have tried everything that I was offered.")


def _orders(view: View, texts: list[str]) -> Iterator[tuple[str, Json]]:
    """Calls that the texts ask for, offered or not, with the arguments given there."""
    run = view.tool("workspace__run")
    for text in texts:
        for match in _ORDER.finditer(text):
            name = match[1].replace(".", "__", 1) if "__" not in match[1] else match[1]
            given = _arguments(text[match.end() : match.end() + 2000])
            yield view.use(name) if given is None else (name, given)
        for command in _COMMAND.findall(text):
            if run:
                yield view.use(run, command=command)


def _arguments(after: str) -> Json | None:
    start = after.find("{")
    if start < 0 or start > 40:
        return None
    try:
        return json.JSONDecoder().raw_decode(after, start)[0]
    except ValueError:
        return None
