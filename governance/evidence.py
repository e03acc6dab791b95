"""What does a verifier's or a checker's answer establish?"""

import re
from typing import Literal

from governance.definition import Goal
from governance.effects import Stop
from governance.parts import Json, Part, digest
from governance.ports import CommandResult
from governance.records import Finding

BaseVerdict = Literal["failing", "passing", "broken"]
MISSING_MODULE = re.compile(r"\bNo module named '?([\w.]+)")
NOT_STARTED = re.compile(r"^\S*python[\d.]*: No module named ", re.MULTILINE)
"""What `python -m` says without its module; it then ends with exit code 1, as a failed test does."""


class Verdict(Part):
    """What a checker says of one result."""

    verdict: Literal["accept", "revise", "reject"]
    """`accept` it as it stands, let the maker `revise` it, or `reject` the finding altogether."""
    reason: str
    """What decided it; the maker reads this when it is to revise."""


class FoundItem(Part):
    """One finding as the lead must state it."""

    dedupe: str
    """The same short name tomorrow for the same thing, such as the failing test's id."""
    title: str
    """One line a person can recognise it by."""
    brief: str
    """What is wrong and what must be true afterwards; all the maker will know."""
    reproduce: str | None = None
    """Text that the failing check prints today, such as the failing test's id; null when there is none."""


class FoundItems(Part):
    """All findings of one look, most urgent first; empty when nothing is worth an agent's time."""

    findings: tuple[FoundItem, ...]


def wire_schema(model: type[Part]) -> Json:
    """JSON Schema as structured output wants it: every property required, nothing else allowed."""
    schema = model.model_json_schema()

    def strict(node: object) -> None:
        if isinstance(node, dict):
            if "properties" in node:
                node["required"] = list(node["properties"])
                node["additionalProperties"] = False
            for child in node.values():
                strict(child)
        elif isinstance(node, list):
            for child in node:
                strict(child)

    strict(schema)
    return schema


def base_verdict(result: CommandResult, goal: Goal, finding: Finding) -> tuple[BaseVerdict, str]:
    """What the verifier says of the untouched base, and why.

    `failing` as reported is what a maker is paid for; `passing` means not reproduced; `broken` means that it
    fails for the environment's reasons (stopped by a limit, an exit code that no test result has, or a missing
    module), so nothing can be established and no maker is asked.
    """
    if result.stopped:
        return "broken", f"the verifier was stopped by its {result.stopped} limit"
    if result.exit_code == 0:
        return "passing", "the verifier passes on the untouched base"
    missing = MISSING_MODULE.search(result.output)
    otherwise = finding.reproduce is not None and finding.reproduce not in result.output
    not_run = result.exit_code in goal.broken_exit_codes or NOT_STARTED.search(result.output)
    if not_run or (missing and otherwise):
        what = f"module {missing.group(1)!r} is missing" if missing else last_line(result.output)
        return "broken", f"the verifier ended with exit code {result.exit_code}: {what}"
    if otherwise:
        return (
            "passing",
            f"the verifier fails, but not as reported: {finding.reproduce!r} is not in it",
        )
    return "failing", f"the verifier fails as reported (exit code {result.exit_code})"


def base_stop(verdict: str, why: str) -> Stop | None:
    """Why the item ends before a maker is asked, or None when there is something to mend."""
    if verdict == "broken":
        return Stop(
            "environment_broken",
            f"{why.rstrip('.')}. Mend workspace.setup or the image; the next heartbeat finds it again.",
        )
    if verdict == "passing":
        return Stop("not_reproduced", f"{why}. No maker was asked.")
    return None


def fingerprint(output: str) -> str:
    """Equal for the same failure twice: times, addresses, temporary paths and counts are blanked."""
    text = re.sub(r"0x[0-9a-f]+", "0x", output)
    text = re.sub(r"/tmp/\S+", "/tmp", text)
    text = re.sub(r"\d+(\.\d+)?s\b", "s", text)
    return digest(text)


def last_line(text: str) -> str:
    """The last line that says something, at most 200 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "(no output)"
