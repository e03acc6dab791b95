"""How do the tests let a scripted model work on a real checkout, and read what it did?"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.model.brain import Options, casting, scripted
from demo.model.knowledge import BUILT_IN, Fix
from demo.model.view import Json, Move
from governance.briefs import ROLE_TEXT, lead_brief
from governance.conversation import ToolSpec
from governance.definition import Loop, Subagent
from governance.evidence import FoundItems, Verdict, wire_schema
from governance.seats import Seat, house_tools

REPOSITORY = Path(__file__).parents[2] / "demo" / "repository"
LOOP = Loop.model_construct(name="l", find=None)
VERIFY = "python -m pytest -q -p no:cacheprovider"


def house(
    *, works: bool = False, delegates: tuple[str, ...] = (), skills: bool = False
) -> list[Json]:
    """The house's own tools as a request offers them."""
    seat = Seat(
        agent="a", role="maker", model="m", system="", grants=(), works=works,
        skills={"s": "body"} if skills else {},
        delegates=tuple(Subagent(name=name) for name in delegates),
    )  # fmt: skip
    return [spec(tool) for tool in house_tools(seat)]


def spec(tool: ToolSpec) -> Json:
    return {"name": tool.name, "description": "", "input_schema": tool.input_schema}


def offered(name: str, *required: str, **properties: Json) -> Json:
    """A connector's tool."""
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"name": name, "description": "", "input_schema": schema}


def ask(role: str, brief: str, *, tools: list[Json] | None = None, **more: Any) -> Json:
    """A request as the house words it."""
    system = f"Role: {role}\n\nLoop: night-fix.\n\n{ROLE_TEXT.get(role, '')}{more.pop('told', '')}"
    return {
        "model": "claude-sonnet-4-6", "max_tokens": 8192, "system": [{"type": "text", "text": system}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": brief}]}],
        "tools": tools or [], **more,
    }  # fmt: skip


def form(*fields: str) -> Json:
    """A schema for the answer, as the request carries it."""
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in fields}}
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@dataclass
class Played:
    """A conversation: every call with its result, and the last words."""

    calls: list[tuple[str, Json, str]] = field(default_factory=list[tuple[str, Json, str]])
    said: str = ""

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.calls]


Answer = Callable[[str, Json], tuple[str, bool]]


def play(
    request: Json, answer: Answer, *, persona: str = "engineer", knowledge: tuple[Fix, ...] = BUILT_IN
) -> Played:  # fmt: skip
    """Let the model work until its last words; `answer` gives each call's text and whether it failed."""
    brain = scripted(Options(knowledge, casting(persona)))
    played, messages = Played(), list(request["messages"])
    for step in range(40):
        move: Move = brain({**request, "messages": messages})
        if not move.calls:
            played.said = move.text
            return played
        uses, results = [], []
        for n, (name, arguments) in enumerate(move.calls):
            text, failed = answer(name, arguments)
            played.calls.append((name, arguments, text))
            use = {"type": "tool_use", "id": f"t{step}-{n}", "name": name, "input": arguments}
            uses.append(use)
            content = [{"type": "text", "text": text}]
            results.append({"type": "tool_result", "tool_use_id": use["id"], "content": content, "is_error": failed})  # fmt: skip
        messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    raise AssertionError(f"no end after 40 steps: {played.names}")


def always(text: object) -> Answer:
    told = text if isinstance(text, str) else json.dumps(text)
    return lambda name, arguments: (told, False)


class Checkout:
    """The demo's repository in a directory, with the workspace's tools over it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        shutil.copytree(
            REPOSITORY, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )

    def __call__(self, name: str, arguments: Json) -> tuple[str, bool]:
        path = self.place / str(arguments.get("path", ""))
        try:
            match name:
                case "workspace__run":
                    return self.run(str(arguments["command"]))
                case "workspace__read":
                    return path.read_text(), False
                case "workspace__edit":
                    return self.edit(path, str(arguments["old"]), str(arguments["new"]))
                case _:
                    return f"there is no tool {name!r}", True
        except OSError as error:
            return f"{type(error).__name__}: {error}", True

    def run(self, command: str) -> tuple[str, bool]:
        command = command.replace("python ", f"{sys.executable} ", 1)
        done = subprocess.run(
            command, shell=True, cwd=self.place, text=True, timeout=60, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HOME": str(self.place)},
        )  # fmt: skip
        return f"{done.stdout.rstrip()}\n(exit code {done.returncode}, 0.5 s)", done.returncode != 0

    @staticmethod
    def edit(path: Path, old: str, new: str) -> tuple[str, bool]:
        text = path.read_text()
        if text.count(old) != 1:
            return f"`old` stands {text.count(old)} times in {path.name}, expected once", True
        path.write_text(text.replace(old, new))
        return f"edited {path.name}", False


def schema(model: type[FoundItems] | type[Verdict]) -> dict[str, object]:
    return {"output_config": {"format": {"type": "json_schema", "schema": wire_schema(model)}}}


def find(seen: object, state: str | None = None) -> FoundItems:
    brief = lead_brief(LOOP, seen if isinstance(seen, str) else json.dumps(seen), state)
    return FoundItems.model_validate_json(
        play(ask("lead", brief, **schema(FoundItems)), always("")).said
    )
