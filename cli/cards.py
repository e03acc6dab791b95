"""How is a card shown in a terminal: whole, escaped, and so that nothing in it can pass for a word of ours?"""

from dataclasses import asdict

from cli.words import columns, exact, margined, money, one_line, span, stamp
from governance.answers import way_to_answer
from governance.approvals import SAYS, known, moment, shown_by_probe, spelled
from governance.parts import Json, digest
from governance.records import Card

TITLE = 50


def card_line(card: Card, title: str, now: int) -> tuple[str, ...]:
    """One card in a list."""
    return (
        card.card,
        card.loop,
        one_line(card.tool),
        one_line(title, TITLE),
        span(now - card.asked_at),
        _deadline(card, now),
        money(card.cost),
        ", ".join(f"{e.kind}: {one_line(e.verdict)}" for e in card.evidence) or "-",
    )


CARD_HEAD = ("CARD", "LOOP", "TOOL", "ITEM", "AGE", "DEADLINE", "COST", "EVIDENCE")


def whole_card(card: Card, title: str, now: int) -> str:
    """Everything a person says yes or no to: the exact arguments and the full diff, nothing left out."""
    parts = [_facts(card, title, now), _arguments(card)]
    if (shown := shown_by_probe(card)) is not None:
        parts.append(f"What the far side shows:\n{margined(shown)}")
    if card.diff is not None:
        parts.append(f"The whole diff, {card.diff.count(chr(10)):,} lines:\n{margined(card.diff)}")
    return "\n\n".join(parts)


def card_json(card: Card, title: str) -> Json:
    """For `--json` outputs."""
    times = {name: stamp(getattr(card, name)) for name in _TIMES}
    fields = {k: v for k, v in asdict(card).items() if k not in (*_TIMES, "cost")}
    return {
        **fields,
        **times,
        "title": title,
        "cost_usd": exact(card.cost),
        "arguments_digest": digest(card.arguments),
    }


_TIMES = ("asked_at", "deadline", "answered_at", "not_before")


def _facts(card: Card, title: str, now: int) -> str:
    by = card.by
    rows = [
        ("card", f"{card.card} ({card.kind.replace('_', ' ')})"),
        ("tool", one_line(card.tool)),
        ("loop", card.loop),
        ("item", f"{card.item} {one_line(title)}"),
        ("who asks", f"{one_line(by.agent)} ({one_line(by.role)}), owner {one_line(by.owner)}"),
        ("why a person", one_line(card.why)),
        *(("evidence", _proof(e.kind, e.verdict, e.by, e.tree, e.detail)) for e in card.evidence),
        ("tree", card.tree or "none"),
        ("cost so far", f"{money(card.cost)} (computed)"),
        ("reach", one_line(card.reach) or "-"),
        *((name, one_line(told)) for name, told in known(card)),
        ("asked", f"{moment(card.asked_at)} ({span(now - card.asked_at)} ago)"),
        ("no answer", _silence(card)),
    ]
    if not card.evidence:
        rows.insert(6, ("evidence", "none"))
    if card.not_before is not None and card.answer is None and now <= card.not_before:
        rows.append(("answers from", moment(card.not_before)))
    if card.answer is not None:
        rows.append(("answer", answer_of(card)))
    elif card.kind != "approval":
        rows.append(("answer with", way_to_answer(card.kind, card.card)))
    return columns(rows)


def answer_of(card: Card) -> str:
    """Who answered a card, how, when and why."""
    at = f" at {moment(card.answered_at)}" if card.answered_at is not None else ""
    why = f": {one_line(card.reason)}" if card.reason else ""
    return f"{card.answer} by {one_line(card.answered_by or 'nobody')}{at}{why}"


def _proof(kind: str, verdict: str, by: str, tree: str, detail: str) -> str:
    said = f"{kind}: {one_line(verdict)} by {one_line(by)} about {tree[:12]}"
    return f"{said} ({one_line(detail)})" if detail else said


def _silence(card: Card) -> str:
    if card.deadline is None:
        return "it waits"
    return f"{card.on_deadline or 'reject'} at {moment(card.deadline)}"


def _deadline(card: Card, now: int) -> str:
    if card.deadline is None:
        return "-"
    left = card.deadline - now
    return f"in {span(left)}" if left >= 0 else f"{span(-left)} ago"


def _arguments(card: Card) -> str:
    said = SAYS[card.kind].removesuffix(":")
    return f"{said} ({digest(card.arguments)}):\n{spelled(card.arguments)}"
