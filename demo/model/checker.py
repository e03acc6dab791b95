"""Would a careful colleague let this change through?"""

import json
import re

from demo.model.maker import failures, is_test
from demo.model.view import Move, View


def check(view: View) -> Move:
    """A verdict by the schema of the request, from the diff and the verifier's output alone."""
    stated, verifier = (
        _section(view.brief, "Diff against the base"),
        _section(view.brief, "Verifier output"),
    )
    diff = _bare_diff(view.brief) if stated is None else stated
    verifier = _without(view.brief, diff) if verifier is None else verifier
    touched = re.findall(r"^\+\+\+ (?:b/)?(\S+)", diff, re.MULTILINE)
    removed = re.findall(r"^--- a/(\S+)", diff, re.MULTILINE)
    sources = [p for p in {*touched, *removed} - {"/dev/null"} if not is_test(p)]
    if not diff.strip() or not re.search(r"^[+-](?![+-]{2} )", diff, re.MULTILINE):
        return verdict(view, "revise", "The diff is empty: nothing was changed.")
    if not sources:
        what = ", ".join(sorted({*touched, *removed} - {"/dev/null"}))
        return verdict(
            view, "revise", f"Only tests were changed ({what}); the cause is still in the source."
        )
    if failures(verifier) or not _passed(verifier, view.brief):
        return verdict(view, "revise", "The verifier does not say that it passed.")
    return verdict(
        view, "accept", f"It changes {', '.join(sorted(sources))}, and the verifier passed."
    )


def verdict(view: View, word: str, reason: str) -> Move:
    """The verdict in the words of the request's schema; as plain text where it has none."""
    if view.schema is None:
        return Move(f"Verdict: {word}. {reason}")
    return Move(json.dumps({"verdict": word, "reason": reason}))


def _passed(verifier: str, brief: str) -> bool:
    established = re.search(r"^- verified: passed\b", brief, re.MULTILINE)
    return bool(established or re.search(r"\b\d+ passed\b|\bexit code 0\b", verifier))


def _section(brief: str, title: str) -> str | None:
    """What stands under a title of the brief, without its fence; None without such a title."""
    found = re.search(rf"^{title}[^\n]*:\n(?:```\w*\n(.*?)\n?^```$|(.*))", brief, re.M | re.S)
    return (found[1] or found[2] or "") if found else None


def _bare_diff(brief: str) -> str:
    found = re.search(
        r"^diff --git .*?(?=\n(?!diff |index |[-+@ \\]|new |old |deleted |similarity |rename |Binary )|\Z)",
        brief,
        re.M | re.S,
    )
    return found[0] if found else ""


def _without(brief: str, diff: str) -> str:
    return brief.replace(diff, "") if diff else brief
