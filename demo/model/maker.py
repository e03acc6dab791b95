"""How does an engineer mend what a test says is wrong?

Run the test, read where it fails, recognise the mistake, change it, run again. Every move follows from what the
tools answered.
"""

import re
import sys
from collections.abc import Mapping

from demo.model.knowledge import Fix
from demo.model.view import Call, Move, View

_COMMAND = re.compile(r"verified with this command[^\n]*:\n(.+)")
_QUOTED = re.compile(r"`([^`\n]*\b(?:pytest|unittest|tox|nox|make)\b[^`\n]*)`")
_PATHS = re.compile(r"([\w./-]+\.py)(?:\", line \d+|:\d+|::)")
_IMPORT = re.compile(
    r"^(?:\s*\d+[\t:|])?\s*(?:from ([\w.]+) import (\([^)]*\)|[\w, ]+)|import ([\w.]+))",
    re.MULTILINE,
)
_ELSEWHERE = ("site-packages", "dist-packages", "/lib/python", "_pytest")


def make(view: View, knowledge: tuple[Fix, ...]) -> Move:
    """The next move of a maker with the workspace's tools."""
    run, edit = view.tool("workspace__run"), view.tool("workspace__edit")
    if run is None or edit is None or view.tool("workspace__read") is None:
        return Move("I have no workspace to work in: I need to run commands, read and edit files.")
    command = command_of(view.brief)
    wanted = view.use(run, command=command)
    runs = [i for i, call in enumerate(view.calls) if (call.name, call.arguments) == wanted]
    changes = [i for i, call in enumerate(view.calls) if call.name == edit and not call.failed]
    if not runs or (changes and changes[-1] > runs[-1]):
        return Move(f"I run {command!r}.", (wanted,))
    last, changed = view.calls[runs[-1]], [view.calls[i] for i in changes]
    if passes(last):
        return Move(_summary(command, changed, last))
    if last.failed and not failures(last.result):
        return Move(f"I could not run {command!r}: {last.result.strip()[:300]}. I changed nothing.")
    return _search(view, last, knowledge) or Move(_given_up(view, command, last, changed))


def _search(view: View, last: Call, knowledge: tuple[Fix, ...]) -> Move | None:
    """Change what is recognised in the files read so far, else read on; None when nothing is left."""
    read, edit = str(view.tool("workspace__read")), str(view.tool("workspace__edit"))
    contents = {c.argument("path"): "" if c.failed else c.result for c in view.made(read)}
    tried = {(call.argument("path"), call.argument("old")) for call in view.made(edit)}
    for path, content in contents.items():
        wrong = [f for f in knowledge if f.find in content and (path, f.find) not in tried]
        changes = tuple(view.use(edit, path=path, old=f.find, new=f.replace) for f in wrong)
        if changes:
            return Move(f"{path} has what I know as a mistake: {wrong[0].find!r}.", changes)
    unread = [path for path in suspects(last.result, contents) if path not in contents][:4]
    if not unread:
        return None
    reads = tuple(view.use(read, path=path) for path in unread)
    return Move(f"The failure leads to {', '.join(unread)}.", reads)


def command_of(brief: str) -> str:
    """The command that shows the failure, as the brief names it."""
    for pattern in (_COMMAND, _QUOTED):
        if match := pattern.search(brief):
            return match[1].strip()
    return "pytest -q"


def passes(run: Call) -> bool:
    """Whether the command's output says that all is well."""
    codes = re.findall(r"exit(?:ed)?[ _](?:code|status)[\"':= ]*(\d+)", run.result)
    good = codes[-1] == "0" if codes else bool(re.search(r"\b\d+ passed", run.result))
    return good and not run.failed and not failures(run.result)


def failures(output: str) -> bool:
    """Whether a test run in this output failed."""
    return bool(re.search(r"\b\d+ (?:failed|error)|^FAILED |^ERROR ", output, re.MULTILINE))


def is_test(path: str) -> bool:
    """Whether a file is a test or shapes how tests run."""
    name = path.rpartition("/")[2]
    return path.startswith("tests/") or "/tests/" in path or name.startswith(("test_", "conftest"))


def paths_in(output: str) -> list[str]:
    """Python files of the workspace that a traceback or a test report names, the innermost first."""
    found = [match.removeprefix("/workspace/") for match in _PATHS.findall(output)]
    own = [
        path
        for path in found
        if not path.startswith("/") and not any(e in path for e in _ELSEWHERE)
    ]
    return list(dict.fromkeys(reversed(own)))


def suspects(output: str, read: Mapping[str, str]) -> list[str]:
    """Files to look at: where it fails, then what the failing tests and packages among those read import."""
    named = paths_in(output)
    tests = [path for path in named if is_test(path)]
    packages = [path for path in read if path.endswith("__init__.py") and not is_test(path)]
    imported = [p for source in (*tests, *packages) for p in _imports(source, read.get(source, ""))]
    return [*(p for p in named if not is_test(p)), *tests, *imported]


def _imports(path: str, source: str) -> list[str]:
    """Where the modules that a file imports may stand in the workspace, each once."""
    paths: list[str] = []
    for module, names, plain in _IMPORT.findall(source):
        dotted = module or plain
        if dotted.partition(".")[0] in {*sys.stdlib_module_names, "pytest", "hypothesis"}:
            continue
        below = _place(path, dotted)
        inner = [name.split()[0] for name in names.strip("()").split(",") if name.strip()]
        paths += [f"{below}.py", f"{below}/__init__.py"]
        paths += [f"{below}/{name}.py" for name in inner if name.islower()]
    return [place for place in dict.fromkeys(paths) if not is_test(place)]


def _place(path: str, dotted: str) -> str:
    """The path of a module without its ending; a relative one is seen from the file that imports it."""
    name = dotted.lstrip(".")
    up = len(dotted) - len(name)
    above = path.split("/")[:-up] if up else []
    return "/".join([*above, *name.split(".")])


def _change(call: Call) -> str:
    return f"{call.argument('path')}: {call.argument('old')!r} is now {call.argument('new')!r}"


def _summary(command: str, changes: list[Call], last: Call) -> str:
    if not changes:
        return f"{command!r} passes as it is; I changed nothing."
    done = "\n".join(f"- {_change(call)}" for call in changes)
    said = re.search(r"[^\n]*\b\d+ passed[^\n]*", last.result)
    return f"I changed:\n{done}\n{command!r} passes" + (f": {said[0].strip()}" if said else ".")


def _given_up(view: View, command: str, last: Call, changes: list[Call]) -> str:
    read = [
        call.argument("path") for call in view.made(view.tool("workspace__read")) if not call.failed
    ]
    lines = [f"{command!r} still fails, and I do not know why."]
    lines.append(f"I read {', '.join(read) or 'nothing'} and recognised no further mistake in it.")
    lines += [f"I changed {_change(call)}, which was not enough." for call in changes]
    end = [line for line in last.result.splitlines() if line.strip()][-1:]
    return "\n".join([*lines, *(f"The run ends with: {line.strip()[:200]}" for line in end)])
