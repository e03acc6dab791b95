"""What does an honest engineer do next, in whatever seat the request puts it?"""

import re

from demo.model.checker import check
from demo.model.drafter import draft, review
from demo.model.finder import find
from demo.model.knowledge import Fix
from demo.model.lead import lead
from demo.model.maker import make
from demo.model.triage import listing_tool, triage
from demo.model.view import Move, View

_SKILL = re.compile(r"^[-*] `?([\w@.-]+)`?\s*[:—]\s*(.*)$", re.MULTILINE)
_WORD = re.compile(r"[a-z]{4,}")


def engineer(view: View, knowledge: tuple[Fix, ...]) -> Move:
    """The move of whoever is asked: finder, maker, checker, lead, or a delegate of theirs."""
    if "context is nearly full" in view.last:
        return _compact(view)
    if move := _read_up(view):
        return move
    fields = set((view.schema or {}).get("properties") or {})
    if "findings" in fields:
        return find(view)
    if "verdict" in fields or view.role == "checker":
        return check(view)
    if view.tool("workspace__run") and view.tool("workspace__edit"):
        return make(view, knowledge)
    if view.role.startswith("delegate:"):
        return review(view) if "review" in view.role else draft(view, knowledge)
    if listing_tool(view) and not view.tool("list_failures"):
        return triage(view)
    return lead(view)


def _read_up(view: View) -> Move | None:
    """Open the skill that fits the task, once, before anything else."""
    read = view.tool("skill__read")
    if read is None or view.made(read):
        return None
    before, _, listed = view.system.rpartition("Skills")
    task = set(_WORD.findall(f"{view.brief} {before}".lower()))
    for name, about in _SKILL.findall(listed):
        if task & set(_WORD.findall(f"{name} {about}".lower())):
            return Move(f"I read up on {name}.", (view.use(read, name=name),))
    return None


def _compact(view: View) -> Move:
    done = "\n".join(
        f"- {c.name} {c.arguments}: {'refused, ' if c.failed else ''}{c.result.strip()[:200]}"
        for c in view.calls[-20:]
    )
    return Move(
        f"I was asked: {view.brief[:2000]}\nWhat I did and found:\n{done or '- nothing yet'}"
    )
