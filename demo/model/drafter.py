"""What can a delegate without a workspace do for its lead?"""

import re

from demo.model.knowledge import Fix
from demo.model.maker import suspects
from demo.model.view import Call, Move, View, objects

_CHANGE = re.compile(r"replace `[^`]+` (?:by|with) `[^`]+`|^\+(?!\+)", re.IGNORECASE | re.MULTILINE)


def draft(view: View, knowledge: tuple[Fix, ...]) -> Move:
    """Read what the failure leads to, and say exactly what has to be replaced by what."""
    read = view.tool("get_file_contents")
    contents = {call.argument("path"): _content(call) for call in view.made(read)}
    for path, content in {"the code": view.brief, **contents}.items():
        for fix in knowledge:
            if fix.find in content:
                return Move(
                    f"In {path}, replace `{fix.find}` by `{fix.replace}`. I cannot push it myself."
                )
    unread = [path for path in suspects(view.brief, contents) if path not in contents][:4]
    if read and unread:
        reads = tuple(view.use(read, path=path) for path in unread)
        return Move(f"The failure leads to {', '.join(unread)}.", reads)
    tests = ", ".join(dict.fromkeys(re.findall(r"[\w./-]+\.py::\w+", view.brief)))
    return Move(
        f"I read {', '.join(contents) or 'nothing'} and have no change to propose for "
        f"{tests or 'what I was told'}. Somebody with the files has to look."
    )


def review(view: View) -> Move:
    """Accept a change that is stated exactly; words about one are sent back."""
    if _CHANGE.search(view.brief):
        return Move("Accept: the change is stated exactly and is about the failing code.")
    return Move("Revise: there is no change to review, only words about one.")


def _content(call: Call) -> str:
    found = next((f["content"] for f in objects(call.result) if "content" in f), call.result)
    return "" if call.failed else str(found)
