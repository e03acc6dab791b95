"""What is a person shown, and what exactly do they say yes to?

A card is bound to canonical arguments, tool digest, policy digest and tree; the store's T4 checks all of them
again in the moment the effect is admitted. Whatever came from outside is escaped and shown whole.
"""

import json
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

from governance.answers import CardKind
from governance.effects import Evidence
from governance.parts import Json, canonical, short_id, usd
from governance.records import Card

SHOWN = 20_000
"""Characters of a diff the form holds; a longer one is named by length and digest and shown by `loops approvals`."""

COLUMNS = 64
"""Characters of a line that the dialog of Prefect 3.8.8 shows in a fence without scrolling (69 by measure)."""

MORE = "↳ "
"""Begins what follows of a long line; no line of a diff and no line of our JSON begins with it."""


def card_id(item: str, tool: str, arguments: Json, tool_digest: str, tree: str | None) -> str:
    """The same action proposed again has the same id and joins the open card."""
    return short_id("c", item, tool, canonical(arguments), tool_digest, tree or "")


CLAIMED = "claimed"
"""How a word is recorded whose giver is not proven to be who they say."""


def moment(ms: int) -> str:
    """A time in Unix milliseconds as people read it, UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def plain(text: str) -> str:
    """Text that can neither style, hide nor reorder anything: what has no shape of its own becomes visible."""
    return "".join(f"\\u{{{ord(c):x}}}" if _unseen(c) else c for c in text)


_SHAPELESS = frozenset(
    (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810),
     *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)  # fmt: skip
"""Letters and marks that no font draws (Unicode's Default_Ignorable_Code_Point, and the blank Braille pattern)."""


def _unseen(char: str) -> bool:
    if char in "\n\t":
        return False
    category = unicodedata.category(char)
    return category in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") or ord(char) in _SHAPELESS


def fenced(text: str, language: str = "text") -> str:
    """Text inside a fence longer than any fence it holds itself."""
    longest = run = 0
    for c in text:
        run = run + 1 if c == "`" else 0
        longest = max(longest, run)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{plain(text)}\n{fence}"


def inline(text: str) -> str:
    """Text inside an inline code span, on one line, also in a table.

    A pipe is spelled out: renderers disagree whether one behind backslashes ends a cell, and what comes after the
    last cell is not shown (marked counts them, markdown-it does not).
    """
    flat = plain(text).replace("\n", "\\n").replace("|", f"\\u{{{ord('|'):x}}}")
    longest = run = 0
    for c in flat:
        run = run + 1 if c == "`" else 0
        longest = max(longest, run)
    tick = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{tick}{pad}{flat}{pad}{tick}"


def wrapped(text: str) -> str:
    """Text none of whose lines is wider than a form shows: the rest of a long line follows behind `↳`.

    A form does not break the lines of a fence, and what stands right of its edge is seen by those who scroll.
    """
    return "\n".join(f"\n{MORE}".join(_pieces(line)) for line in plain(text).split("\n"))


def _pieces(line: str) -> list[str]:
    pieces, piece, used = [], "", 0
    for c in line:
        wide = 8 if c == "\t" else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if piece and used + wide > COLUMNS:
            pieces.append(piece)
            piece, used = "", len(MORE)
        piece, used = piece + c, used + wide
    return [*pieces, piece]


def spelled(arguments: Json) -> str:
    """Arguments as a person reads them: JSON in lines. Line ends inside text are escaped, so the layout is ours."""
    return plain(json.dumps(arguments, indent=2, sort_keys=True, ensure_ascii=False))


def card_markdown(card: Card, moment: str, deadline: str | None) -> str:
    """One card as the form shows it."""
    rows = [
        ("card", inline(card.card)),
        ("who asks", inline(f"{_asking(card)}, owner {card.by.owner}")),
        ("why a person", inline(card.why)),
        *(("evidence", _proof(e)) for e in card.evidence),
        ("tree", inline(card.tree or "none")),
        ("cost so far", inline(f"{usd(card.cost):.6f} USD (computed)")),
        ("reach", inline(card.reach)),
        *((name, inline(told)) for name, told in known(card)),
        ("asked", inline(moment)),
        *_early(card),
        ("without an answer", inline(f"{card.on_deadline} at {deadline}" if deadline else "it waits")),
    ]  # fmt: skip
    if not card.evidence:
        rows.insert(3, ("evidence", "none"))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return "\n\n".join(
        (
            f"### {inline(card.tool)}",
            SAYS[card.kind],
            fenced(wrapped(spelled(card.arguments)), "json"),
            f"| | |\n|---|---|\n{table}",
            *_shown(card),
            *_diff(card),
        )
    )


SAYS: dict[CardKind, str] = {
    "approval": "Exactly these arguments will be sent:",
    "in_doubt": "This may have happened already, with exactly these arguments:",
    "diverged": "This is on record, and this the code asks for now:",
}
"""What a card's arguments are."""


def known(card: Card) -> tuple[tuple[str, str], ...]:
    """What else is known about what a card asks, as pairs of a name and a sentence."""
    facts = card.facts or {}
    told: list[tuple[str, str]] = []
    if "process" in facts:
        told.append(("its process", str(facts["process"]["why"])))
    if "probe" in facts:
        told.append(("the far side", _probed(facts["probe"])))
    if "again" in facts:
        told.append(("paid again", _again(facts["again"])))
    return tuple(told)


def _early(card: Card) -> tuple[tuple[str, str], ...]:
    """Before this moment an answer is not taken: what is in doubt may still be on its way."""
    return (("answers count from", inline(moment(card.not_before))),) if card.not_before else ()


def _probed(probe: Json) -> str:
    asked = f"{probe['tool']} was asked at {probe['at']} with {canonical(probe['arguments'])}"
    if "failed" in probe:
        return f"{asked}, and could not say: {probe['failed']}"
    n = len(probe["found"])
    return (
        f"{asked}; {n:,} of what it shows is this call's" if n else f"{asked}; look at its answer"
    )


def _again(again: Json) -> str:
    done = ", ".join(again["writes"]) or "nothing"
    return (
        f"{again['model_calls']:,} model calls and {again['commands']:,} commands of {again['cost_usd']} USD; "
        f"written outside: {done}; a call with the same arguments is not made again, with others it may be"
    )


def shown_by_probe(card: Card) -> str | None:
    """The far side's answer about a call in doubt; its own elements alone where the probe can tell them."""
    probe = (card.facts or {}).get("probe", {})
    if probe.get("found"):
        return spelled({"found": probe["found"]})
    return str(probe["text"]) if "text" in probe else None


def _shown(card: Card) -> tuple[str, ...]:
    answer = shown_by_probe(card)
    return () if answer is None else ("What the far side shows:", fenced(wrapped(answer[:SHOWN])))


def _asking(card: Card) -> str:
    """A delivery is asked for by the loop itself, everything else by one of its agents."""
    by = card.by
    return (
        f"loop {card.loop}" if by.role == "loop" else f"{by.agent} ({by.role}) of loop {card.loop}"
    )


def _proof(evidence: Evidence) -> str:
    said = inline(
        f"{evidence.kind}: {evidence.verdict} by {evidence.by} about {evidence.tree[:12]}"
    )
    return f"{said} {inline(evidence.detail)}" if evidence.detail else said


def _diff(card: Card) -> tuple[str, ...]:
    if not card.diff:
        return ()
    length = len(card.diff)
    told = (
        "The whole diff:"
        if length <= SHOWN
        else f"The first {SHOWN:,} of {length:,} characters of the diff; "
        f"`loops approvals {card.card}` shows all of it."
    )
    return told, fenced(wrapped(card.diff[:SHOWN]), "diff")


def form_markdown(
    cards: Sequence[tuple[Card, str, str | None]], changes: Sequence[str] = ()
) -> str:
    """The whole description of a form about these cards (card, asked at, deadline).

    `changes` are what became different while the item waited before.
    """
    head = (
        "Your answer is recorded under the name you give; that name is claimed, not proven. "
        f"A line that begins with {MORE.strip()} goes on from the line above."
    )
    if changes:
        head += "\n\nChanged while it waited before:\n\n" + "\n".join(
            f"- {inline(c)}" for c in changes
        )
    return f"{head}\n\n" + "\n\n---\n\n".join(card_markdown(c, at, end) for c, at, end in cards)
