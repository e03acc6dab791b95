"""Which answers does a card take, and what does each of them mean?"""

import json
from dataclasses import dataclass
from typing import Literal

from governance.conversation import ToolResult
from governance.parts import Json, canonical

CardKind = Literal["approval", "in_doubt", "diverged"]
"""What a card asks: may this run, did this happen, and what is to become of a round that cannot go on."""

Answer = Literal["approve", "reject", "happened", "not-happened", "restart", "abandon"]
"""What a card can be answered, as it is kept and typed."""


@dataclass(frozen=True)
class Choice:
    """One answer a card takes."""

    answer: Answer
    said: str
    """How the form spells it."""
    means: str


CHOICES: dict[CardKind, tuple[Choice, ...]] = {
    "approval": (
        Choice("approve", "approve", "exactly what it shows runs, once"),
        Choice("reject", "reject", "it does not"),
    ),
    "in_doubt": (
        Choice("happened", "it happened", "it counts as done and is not made again"),
        Choice("not-happened", "it did not", "it is started once more"),
        Choice("abandon", "abandon", "neither; the item ends here"),
    ),
    "diverged": (
        Choice("restart", "restart the round", "it begins anew from the last kept files, and is paid again"),
        Choice("abandon", "abandon", "the item ends here"),
    ),
}  # fmt: skip

LATER = "later"
"""What a form may hold instead of an answer: the card goes on waiting."""


def takes(kind: CardKind, answer: str) -> bool:
    """Whether a card of this kind can be answered so."""
    return any(c.answer == answer for c in CHOICES[kind])


def answer_in_form(kind: CardKind, said: object) -> Answer | None:
    """The answer that stands in a form's field; None for `later` and for what is no answer."""
    return next((c.answer for c in CHOICES[kind] if c.said == said), None)


def said_in_form(kind: CardKind, answer: str | None) -> str:
    """How the form spells an answer; `later` for none."""
    return next((c.said for c in CHOICES[kind] if c.answer == answer), LATER)


def meanings(kind: CardKind) -> str:
    """All that a person can choose, in one line."""
    told = [f"{c.said}: {c.means}" for c in CHOICES[kind]]
    return ". ".join([*told, f"{LATER}: it goes on waiting"]) + "."


def way_to_answer(kind: CardKind, card: str) -> str:
    """What is typed to answer such a card."""
    if kind == "approval":
        return f"loops approve {card}"
    return f"loops resolve {card} {'|'.join(c.answer for c in CHOICES[kind])}"


def vouched(
    tool: str, *, by: str, reason: str, given: str, found: tuple[Json, ...], asked: str
) -> ToolResult:
    """The result of an effect that somebody says has happened, as its asker is told it.

    `given` is what they pasted (JSON or text). Without it, what the far side showed when it was `asked` counts,
    where exactly one thing there is the call's.
    """
    said = f"{tool!r} was made, and its own answer is lost. {by!r} vouches that it happened"
    said += f": {reason}." if reason else "."
    if given:
        value = _value(given)
        whole = value if isinstance(value, dict) else {"result": value}
        return ToolResult(f"{said} What it gave, by their word: {given}", structured=whole)
    if len(found) == 1:
        text = f"{said} What it gave, as {asked} shows it: {canonical(found[0])}"
        return ToolResult(text, structured=found[0])
    return ToolResult(f"{said} What it gave is not known.")


def _value(given: str) -> object:
    try:
        return json.loads(given)
    except ValueError:
        return given
