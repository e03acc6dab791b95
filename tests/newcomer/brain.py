"""A model that looks through commits: each one listed is a finding, each finding is looked at once."""

import json
import re
from collections.abc import Callable

from demo.model.brain import Options
from demo.model.view import Json, Move, view_of

COMMIT = re.compile(r"\b([0-9a-f]{40})\b")
REPOSITORY = re.compile(r"at (/\S+)")


def told(options: Options) -> Callable[[Json], Move]:
    """The brain `python -m demo.model --brain` is started with."""

    def move(body: Json) -> Move:
        view = view_of(body)
        commits = list(dict.fromkeys(COMMIT.findall(view.brief)))
        if view.schema is not None:
            found = [
                {
                    "dedupe": c,
                    "title": f"commit {c[:8]}",
                    "brief": f"Look at commit {c}.",
                    "reproduce": None,
                }
                for c in commits
            ]
            return Move(json.dumps({"findings": found}))
        if not view.calls:
            where = REPOSITORY.search(view.system)
            known = {"repo_path": where[1] if where else ".", "revision": commits[0]}
            return Move("I look at it.", (("git__git_show", known),))
        changed = len(re.findall(r"^\+[^+]", view.calls[-1].result, re.MULTILINE))
        return Move(f"{commits[0][:8]} adds {changed} lines.")

    return move
