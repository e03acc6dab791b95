"""How does a lead bring a red build back to green through others?

Look, have it drafted, have it reviewed, propose it, merge it. A tool that refuses ends it: the lead says what was
refused and stops.
"""

import re

from demo.model.view import Call, Move, View, objects

_NEGATIVE = re.compile(r"\b(revise|reject|do not merge|not ready|cannot approve)\b", re.IGNORECASE)
_BRANCH = re.compile(r"\bbranch\b[\s:=`'\"]+([\w./-]+)", re.IGNORECASE)


def lead(view: View) -> Move:
    """The next move of a lead with delegates and connectors as tools."""
    if view.calls and view.calls[-1].failed:
        refused = view.calls[-1]
        return Move(f"I stop here: {refused.name} was refused: {refused.result.strip()[:500]}")
    look = view.tool("list_failures")
    looked = view.made(look)
    if look and not looked:
        return Move("I look at what fails.", (view.use(look),))
    seen = looked[0].result if looked else view.brief
    if looked and not any(objects(seen)):
        return Move("Nothing fails; there is nothing to do.")
    return _delegate(view, seen) or _deliver(view) or Move(_report(view))


def _delegate(view: View, seen: str) -> Move | None:
    drafter, reviewer = _helper(view, "draft"), _helper(view, "review")
    drafts = view.made(drafter)
    if drafter and not drafts:
        task = f"Mend the cause of this failure, not the test. Say what you changed.\n{seen}"
        return Move("I have the fix drafted.", (view.use(drafter, task=task),))
    if reviewer and not view.made(reviewer):
        draft = drafts[-1].result if drafts else seen
        task = f"Review this change. Answer accept, revise or reject, and why.\n{draft}\n\nThe failure:\n{seen}"
        return Move("I have the draft reviewed.", (view.use(reviewer, task=task),))
    for review in view.made(reviewer):
        if _NEGATIVE.search(review.result):
            return Move(
                f"I deliver nothing, since the reviewer said: {review.result.strip()[:500]}"
            )
    return None


def _deliver(view: View) -> Move | None:
    propose, merge = view.tool("create_pull_request"), view.tool("merge_pull_request")
    listing = view.tool("list_pull_requests")
    draft = "\n".join(call.result for call in view.made(_helper(view, "draft")))
    branch = _BRANCH.search(draft)
    if propose and branch and not view.made(propose):
        call = view.use(
            propose, title="Mend the red build", body=draft[:2000], base="main", head=branch[1]
        )
        return Move("I propose the change.", (call,))
    if merge and not view.made(merge):
        number = _number((*view.made(propose), *view.made(listing)))
        if number is None and listing and not view.made(listing):
            return Move("I look for the pull request.", (view.use(listing, state="open"),))
        # Where nobody names a pull request it asks for the first one, and is told if there is none.
        known = dict.fromkeys(("number", "pull_number", "pull"), number or 1)
        return Move("The change is reviewed; I merge it.", (view.use(merge, **known),))
    return None


def _helper(view: View, word: str) -> str | None:
    """The delegate whose name says so: a tool that takes a task."""
    return next(
        (n for n, s in view.tools.items() if word in n and "task" in (s.get("properties") or {})),
        None,
    )


def _number(proposals: tuple[Call, ...]) -> int | None:
    for proposal in proposals:
        for found in objects(proposal.result):
            if isinstance(found.get("number"), int):
                return int(found["number"])
        if match := re.search(r"(?:#|pulls?/|pull request )(\d+)", proposal.result):
            return int(match[1])
    return None


def _report(view: View) -> str:
    if not view.calls:
        return "I have no tool that could help here, so I did nothing."
    done = "\n".join(f"- {call.name}: {call.result.strip()[:200]}" for call in view.calls)
    return f"Done. What I did:\n{done}"
