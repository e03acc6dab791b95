"""What can a model see of its situation? The request, and nothing else."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

Json = dict[str, Any]

_SYNONYMS = (
    ("command", "cmd", "shell", "script"),
    ("path", "file", "filename", "file_path"),
    ("old", "old_text", "old_string", "old_str", "find"),
    ("new", "new_text", "new_string", "new_str", "replace"),
    ("content", "contents", "text"),
    ("name", "skill"),
    ("task", "brief", "prompt"),
)
_NAMES = frozenset({"id", "identifier", "number", "test", "nodeid", "name", "title", "key", "path"})
_EMPTY = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


@dataclass(frozen=True)
class Call:
    """A call this model made earlier, with what came of it."""

    name: str
    arguments: Json
    result: str
    failed: bool

    def argument(self, field: str) -> str:
        """One argument, however its tool spells it; empty when it was not given."""
        words = next((group for group in _SYNONYMS if field in group), (field,))
        return next((str(self.arguments[w]) for w in words if w in self.arguments), "")


@dataclass(frozen=True)
class Move:
    """What to do next: calls to make, or the last words when there are none."""

    text: str = ""
    calls: tuple[tuple[str, Json], ...] = ()


@dataclass(frozen=True)
class View:
    """One request, read as its model would."""

    system: str
    brief: str
    """The first user message."""
    last: str
    """Text of the newest user message, tool results left out."""
    tools: Mapping[str, Json]
    """Input schema by tool name."""
    schema: Json | None
    """What the answer must follow, or None."""
    calls: tuple[Call, ...]

    @property
    def role(self) -> str:
        """From the first line, `Role: maker`; a delegate's name stays with it (`delegate:fix-drafter`)."""
        first = self.system.partition("\n")[0]
        return first.removeprefix("Role:").strip() if first.startswith("Role:") else ""

    def tool(self, ending: str) -> str | None:
        """The first offered tool whose name ends so, or None."""
        return next((name for name in self.tools if name.endswith(ending)), None)

    def made(self, name: str | None) -> tuple[Call, ...]:
        """Earlier calls of that tool."""
        return tuple(call for call in self.calls if call.name == name)

    def use(self, name: str, /, **known: object) -> tuple[str, Json]:
        """A call of `name` with what is known, spelled as its schema spells it."""
        schema = self.tools.get(name, {})
        properties = cast(Json, schema.get("properties") or {})
        arguments: Json = {}
        for field, value in known.items():
            words = next((group for group in _SYNONYMS if field in group), (field,))
            spelled = (
                field if field in properties else next(filter(properties.__contains__, words), None)
            )
            if spelled is not None:
                arguments[spelled] = value
        for field in cast(list[str], schema.get("required") or []):
            if field not in arguments:
                arguments[field] = self._guess(field, properties.get(field) or {})
        return name, arguments

    def _guess(self, field: str, schema: Json) -> object:
        """A required argument nobody named: as it was last seen in a result, else the plainest allowed value."""
        if schema.get("enum"):
            return schema["enum"][0]
        for text in (*(call.result for call in reversed(self.calls)), self.brief):
            for found in objects(text):
                if field in found:
                    return found[field]
        return schema.get("default", _EMPTY.get(str(schema.get("type")), ""))


def view_of(body: Json) -> View:
    """The request as its model sees it."""
    messages = [(str(m["role"]), _blocks(m.get("content"))) for m in body.get("messages") or []]
    users = [_text(blocks) for role, blocks in messages if role == "user"]
    form = (body.get("output_config") or {}).get("format") or {}
    return View(
        system=_text(_blocks(body.get("system"))),
        brief=users[0] if users else "",
        last=users[-1] if users else "",
        tools={str(t["name"]): t.get("input_schema") or {} for t in body.get("tools") or []},
        schema=form.get("schema"),
        calls=tuple(_calls([block for _, blocks in messages for block in blocks])),
    )


def objects(text: str) -> Iterator[Json]:
    """Every JSON object in a text that stands for something, in order; what only wraps a list is opened."""
    decoder, at = json.JSONDecoder(), 0
    while (start := _opening(text, at)) >= 0:
        try:
            value, at = decoder.raw_decode(text, start)
        except ValueError:
            at = start + 1
            continue
        yield from _inside(value)


def _opening(text: str, at: int) -> int:
    match = re.compile(r"[\[{]").search(text, at)
    return match.start() if match else -1


def _inside(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        for item in cast(list[object], value):
            yield from _inside(item)
    elif isinstance(value, dict):
        found = cast(Json, value)
        if found.keys() & _NAMES:
            yield found
            return
        nested = [item for item in found.values() if isinstance(item, list)]
        held = [inner for item in nested for inner in _inside(item)]
        yield from held or [found]


def _blocks(content: object) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast(list[Json], content or [])


def _text(blocks: list[Json]) -> str:
    return "\n".join(str(b.get("text", "")) for b in blocks if b.get("type") == "text")


def _calls(blocks: list[Json]) -> Iterator[Call]:
    results = {b["tool_use_id"]: b for b in blocks if b.get("type") == "tool_result"}
    for block in blocks:
        if block.get("type") == "tool_use" and block["id"] in results:
            result = results[block["id"]]
            yield Call(
                name=str(block["name"]),
                arguments=block.get("input") or {},
                result=_text(_blocks(result.get("content"))),
                failed=bool(result.get("is_error")),
            )
