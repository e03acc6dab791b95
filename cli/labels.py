"""What do a server's tools say of themselves, and how would org.yaml label them?"""

import re
from collections.abc import Mapping, Sequence

from cli.words import columns, one_line
from governance.conversation import ToolSpec

_NAMEABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_DESCRIBED = 60


def labelled(name: str, tools: Sequence[ToolSpec], left_out: Mapping[str, str]) -> str:
    """The tools with their hints, and a piece of org.yaml that takes each at its word or for the worst."""
    parts = [f"Connector {name!r} answers: {len(tools):,} tool{'' if len(tools) == 1 else 's'}."]
    if tools:
        parts.append(_table(tools))
    if left_out:
        parts.append(
            "\n".join(f"left out: {one_line(tool)}: {why}" for tool, why in left_out.items())
        )
    parts.append(
        "For registry/org.yaml, below `connectors:`. The hints are the server's own claims, and without one "
        f"the worst is assumed: label each tool as you judge it.\n\n{snippet(name, tools)}"
    )
    return "\n\n".join(parts)


def snippet(name: str, tools: Sequence[ToolSpec]) -> str:
    """The connector as org.yaml would name it."""
    lines = [f"  {name}:", f"    server: {name}"]
    lines += ["    tools:"] if any(_NAMEABLE.fullmatch(t.name) for t in tools) else []
    for tool in tools:
        said = one_line(" ".join(tool.description.split()), _DESCRIBED)
        mark = "" if _NAMEABLE.fullmatch(tool.name) else "# cannot be named here: "
        lines.append(
            f"      {mark}{_key(tool.name)}: {_labels(tool)}" + (f"  # {said}" if said else "")
        )
    return "\n".join(lines)


def _key(name: str) -> str:
    # A bare `on` or `12` would be read as something else than text.
    return name if re.fullmatch(r"[a-z]+(_[a-z]+)+", name) else f'"{name}"'


def _labels(tool: ToolSpec) -> str:
    if tool.read_only is True:
        return "{read_only: true}"
    destructive = "false" if tool.destructive is False else "true"
    external = "false" if tool.open_world is False else "true"
    return f"{{destructive: {destructive}, external: {external}}}"


def _table(tools: Sequence[ToolSpec]) -> str:
    rows = [("TOOL", "READ ONLY", "DESTRUCTIVE", "IDEMPOTENT", "OPEN WORLD")]
    rows += [
        (t.name, _hint(t.read_only), _hint(t.destructive), _hint(t.idempotent), _hint(t.open_world))
        for t in tools
    ]
    return columns(rows)


def _hint(said: bool | None) -> str:
    return "-" if said is None else "yes" if said else "no"
