"""What does a new loop start from?

The texts are templates beside this module. What they name is taken from org.yaml where it has such a thing; where it
has not, a name to be made stands there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import Literal

from governance.organisation import Organisation

FIRST_MODEL = "claude-sonnet-4-6"
"""The model of an organisation that has not named one."""

Start = Literal["goal", "tickets", "published"]

_COLUMN = 42
_COMMENT = re.compile(r"(\s*[^\s#].*?)\s{2,}(# .*)")

_TOLD: Mapping[Start, Mapping[str, str]] = {
    "goal": {"": "goal.md", "-maker": "maker.md", "-checker": "checker.md"},
    "tickets": {"": "tickets.md"},
    "published": {"": "published.md"},
}
"""Instructions by what is added to the loop's name."""


@dataclass
class Names:
    """What the templates fill in. `missing` is what org.yaml does not have, in words for a person."""

    values: dict[str, str]
    missing: list[str] = field(default_factory=list[str])

    def put(self, name: str, kind: str, have: list[str], otherwise: str) -> str:
        """The first there is, else a name to be made."""
        if not have:
            self.missing.append(f"{kind} (the loop names {otherwise!r})")
        self.values[name] = have[0] if have else otherwise
        return self.values[name]


def texts_of(start: Start, names: Names) -> dict[str, str]:
    """All files of the new loop by their path in the registry."""
    loop = names.values["name"]
    texts = {f"loops/{loop}.yaml": _filled(f"{start}.yaml", names.values)}
    for suffix, told in _TOLD[start].items():
        texts[f"instructions/{loop}{suffix}/v1.md"] = _filled(told, names.values)
    return texts


def first_prices() -> str:
    """The prices.yaml of a registry that is not there yet."""
    return _filled("prices.yaml", {})


def first_organisation() -> str:
    """A small org.yaml that every start is valid with."""
    return _filled("org.yaml", {"model": FIRST_MODEL})


def names_for(start: Start, loop: str, owner: str, organisation: Organisation) -> Names:
    """The organisation's own names where it has them."""
    names = Names({"name": loop, "owner": owner})
    model = names.put("model", "a model", list(organisation.models), FIRST_MODEL)
    names.values["checker_model"] = next((m for m in organisation.models if m != model), model)
    names.values["team"] = next(iter(organisation.teams), "unassigned")
    reads = _looks(start, organisation)
    what = "a connector with a tool labelled read_only"
    look = names.put("look", what, reads, "tickets.list_open")
    connector = names.values["connector"] = look.partition(".")[0]
    ours = [t for t in _tools(organisation) if t.startswith(f"{connector}.")] or [look]
    names.values["tools"] = _listed(ours)
    names.values["reads"] = _listed([t for t in ours if t in reads] or [look])
    writes = [t for t in ours if t not in reads and t != look]
    names.values["approvals"] = f'"{writes[0]}": pause_for_human' if writes else ""
    if start == "goal":
        names.put("repository", "a repository", list(organisation.repositories), "our/code")
        names.put("image", "an image", list(organisation.images), "python-3.11")
    return names


def _tools(organisation: Organisation, *, read_only: bool = False) -> Iterator[str]:
    for connector, entry in organisation.connectors.items():
        for tool, label in entry.tools.items():
            if label.read_only or not read_only:
                yield f"{connector}.{tool}"


def _looks(start: Start, organisation: Organisation) -> list[str]:
    """Tools that only read, likeliest look first: it lists, and a loop without a goal writes where it looks."""
    reads = list(_tools(organisation, read_only=True))
    writes = {t.partition(".")[0] for t in _tools(organisation) if t not in reads}

    def unlikely(tool: str) -> tuple[bool, bool]:
        elsewhere = start != "goal" and tool.partition(".")[0] not in writes
        return re.search(r"\.(list|search|find)", tool) is None, elsewhere

    return sorted(reads, key=unlikely)


def _listed(tools: list[str]) -> str:
    # In quotes: a bare `on` or `12` would be read as something else than text.
    bare = [tool.partition(".")[2] for tool in tools]
    return ", ".join(t if re.fullmatch(r"[a-z]+(_[a-z]+)+", t) else f'"{t}"' for t in bare)


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = files("cli").joinpath("templates", template).read_text(encoding="utf-8")
    lines = Template(text).substitute(values).split("\n")
    return "\n".join(_COMMENT.sub(_aligned, line) for line in lines)


def _aligned(line: re.Match[str]) -> str:
    """What follows a value in a file stands in one column again after the values were filled in."""
    return f"{line[1]:<{_COLUMN}}{line[2]}" if len(line[1]) < _COLUMN else f"{line[1]}  {line[2]}"
