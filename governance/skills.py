"""Is a SKILL.md folder what the Agent Skills format says, and what does it hold?

Source: agentskills/agentskills, specification. `allowed-tools` is kept as a statement of the author's and grants
nothing; version and digest are ours and never taken from the file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from governance.documents import hidden, parse
from governance.parts import Part, canonical, digest
from governance.problems import Problem, problems_of, shown

_FRONT = re.compile(r"---\n(.*?\n)---\n(.*)", re.DOTALL)


class SkillHead(Part):
    """The front matter of a SKILL.md."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    """The folder's name."""
    description: Annotated[str, Field(min_length=1, max_length=1024)]
    """What it is about and when to read it; all an agent sees before it opens the skill."""
    license: Annotated[str, Field(max_length=200)] | None = None
    """Under what terms it may be used."""
    compatibility: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """What it needs around it."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Whatever its author notes; nothing here is believed."""
    allowed_tools: Annotated[str, Field(alias="allowed-tools", max_length=1000)] = ""
    """The tools its author had in mind; it grants none of them."""


@dataclass(frozen=True)
class Skill:
    """One version of a skill, whole."""

    ref: str
    """`name@vN`."""
    head: SkillHead
    body: str
    """The Markdown below the front matter."""
    files: Mapping[str, str]
    """Every other file of the folder, by its path in it."""
    digest: str
    """Changes when one byte of one file does."""


def read_skill(
    name: str, version: str, files: Mapping[str, str], folder: str
) -> tuple[Skill | None, tuple[Problem, ...]]:
    """The skill in these files, or everything that is wrong with it. `folder` names it in problems."""
    path = f"{folder}/SKILL.md"
    if "SKILL.md" not in files:
        return None, (Problem(folder, None, "", "holds no SKILL.md"),)
    unclean = tuple(
        Problem(f"{folder}/{file}", None, "", f"holds the invisible character {found}; remove it")
        for file, text in sorted(files.items())
        if (found := hidden(text))
    )
    match = _FRONT.fullmatch(files["SKILL.md"])
    if match is None:
        text = "does not start with front matter between two lines of ---"
        return None, (*unclean, Problem(path, 1, "", text))
    head, problems = _head(match[1], name, path)
    if not match[2].strip():
        problems = (*problems, Problem(path, None, "", "says nothing below its front matter"))
    if head is None or problems or unclean:
        return None, (*unclean, *problems)
    others = {file: text for file, text in files.items() if file != "SKILL.md"}
    return Skill(
        f"{name}@{version}", head, match[2].strip() + "\n", others, digest(dict(files))
    ), ()


def _head(text: str, name: str, path: str) -> tuple[SkillHead | None, tuple[Problem, ...]]:
    document = parse("\n" + text, path)
    if document.problems:
        return None, tuple(document.problems)
    try:
        head = SkillHead.model_validate_json(canonical(document.value), strict=True)
    except ValidationError as error:
        return None, problems_of(error, SkillHead, path, document.lines)
    if head.name == name:
        return head, ()
    wrong = f"{shown(head.name)} is not the name of its folder, {shown(name)}"
    return None, (Problem(path, document.lines[("name",)], "name", wrong),)
