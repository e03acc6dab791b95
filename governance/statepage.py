"""What does a loop know between its heartbeats?

One page, made from the store: what is done and by which evidence, what is open, what ended otherwise and why. An
agent's own words are on it only as what they are, unverified. What people say of it is kept below, word for word.
"""

from collections.abc import Mapping, Sequence

from governance.approvals import moment
from governance.breaker import BreakerRow
from governance.parts import Json
from governance.records import ItemRow

PEOPLE = "## Said by people"
KEPT = 30
"""Ended items the page still names; the store has them all."""


def state_page(
    loop: str, items: Sequence[ItemRow], said: str, pause: BreakerRow | None = None
) -> str:
    """The page. `items` newest first, each as it stands; `said` is what `people_of` took from the page before.

    `pause` is the breaker's, while nobody has let the loop go on.
    """
    done = [i for i in items if i.status == "done"][:KEPT]
    ended = [i for i in items if i.status == "stopped"][:KEPT]
    going = [i for i in items if i.status not in ("done", "stopped")]
    kept = {i.run: i.stop.detail for i in going if i.status == "kept_back" and i.stop}
    parts = [
        f"# State of {loop}",
        *([_section("Paused", _paused(pause))] if pause else []),
        *([_section("Kept back", [f"- {_flat(why)}" for why in kept.values()])] if kept else []),
        _section("Done", [_done(i) for i in done]),
        _section("Open", [f"- {_name(i)}: {_standing(i)}" for i in going]),
        _section("Ended otherwise", [_ended(i) for i in ended]),
        f"{PEOPLE}\n{said or 'Nothing.'}",
    ]
    return "\n\n".join(parts)


def people_of(page: str | None) -> str:
    """What people said on a page."""
    return _parted(page or "")[1]


def corrected(page: str, text: str, by: str, day: str) -> str:
    """The page with one more line by a person."""
    made, said = _parted(page)
    line = f"- {day}, {' '.join(by.split())}: {' '.join(text.split())}"
    return f"{made}\n\n{PEOPLE}\n" + (f"{said}\n{line}" if said else line)


def _parted(page: str) -> tuple[str, str]:
    """What the store made of the page, and what people said.

    Only a whole line is the heading: every word of an agent is flattened into a line of its own that begins with a
    dash, so none of them can pass for a person's.
    """
    lines = page.split("\n")
    at = lines.index(PEOPLE) if PEOPLE in lines else len(lines)
    said = "\n".join(lines[at + 1 :]).strip()
    return "\n".join(lines[:at]).strip(), "" if said == "Nothing." else said


def _paused(pause: BreakerRow) -> list[str]:
    return [
        f"- since {moment(pause.at)}, after run {pause.run}",
        f"- why: {_flat(pause.why)}",
        f"- no heartbeat runs until somebody says `loops resume {pause.loop} --reason TEXT`",
    ]


def _section(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n" + ("\n".join(lines) if lines else "Nothing.")


def _name(item: ItemRow) -> str:
    return f"{_flat(item.finding.title)} (`{_flat(item.finding.dedupe)}`, item {item.item})"


def _standing(item: ItemRow) -> str:
    standing = item.status.replace("_", " ")
    return f"{standing}, {_flat(item.waits.said)}" if item.waits else standing


def _done(item: ItemRow) -> str:
    outcome: Mapping[str, object] = item.outcome or {}
    proof = "; ".join(_flat(str(e)) for e in _list(outcome.get("evidence"))) or "none"
    acts = "; ".join(_flat(str(a)) for a in _list(outcome.get("actions"))) or "none"
    line = f"- {_name(item)}\n  - evidence: {proof}\n  - actions: {acts}"
    claims = str(outcome.get("claims") or "")
    return f"{line}\n  - agent's own words, unverified: {_flat(claims)}" if claims else line


def _ended(item: ItemRow) -> str:
    why = f"{item.stop.reason}: {item.stop.detail}" if item.stop else "no reason on record"
    return f"- {_name(item)}: {_flat(why)}"


def _flat(text: str) -> str:
    return " ".join(text.split())[:400]


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def outcome_of(
    *, evidence: Sequence[str], actions: Sequence[str], claims: str, links: Mapping[str, object]
) -> Json:
    """What an item amounted to, as it is stored: established facts apart from an agent's words."""
    return {
        "evidence": list(evidence),
        "actions": list(actions),
        "claims": claims,
        "links": dict(links),
    }
