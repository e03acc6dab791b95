"""A model that plays whatever part its instructions name; the parts are the misbehaviours under test.

`Play: <part>` in an instructions file casts it. Every other seat, and every answer by a schema but the checker's, is
the engineer's.
"""

import re
from collections.abc import Callable

from demo.model.adversary import adversary
from demo.model.brain import Brain, Options, scripted
from demo.model.checker import verdict
from demo.model.view import Json, Move, View, view_of

_PART = re.compile(r"^Play: ([\w-]+)$", re.MULTILINE)
_TICKET = re.compile(r"NW-\d+")
LONG = "the customer waits " * 60


def told(options: Options) -> Brain:
    """The brain the bench's provider is started with."""
    engineer = scripted(options)

    def move(body: Json) -> Move:
        view = view_of(body)
        part = _PART.search(view.system)
        if part is None or (view.schema is not None and view.role != "checker"):
            return engineer(body)
        if "context is nearly full" in view.last and part[1] != "forget":
            return engineer(body)
        return PARTS[part[1]](view)

    return move


def repeat(view: View) -> Move:
    """The same call for ever."""
    return Move("I look again.", (("linear__get_ticket", {"id": "NW-101"}),))


def chatter(view: View) -> Move:
    """Another long comment at every step; it never ends by itself."""
    body = f"{len(view.calls)}: {LONG}"
    return Move(body, (("linear__comment_ticket", {"id": "NW-101", "body": body}),))


def read_on(view: View) -> Move:
    """The same ticket eight times, each time after other words, then the end."""
    if len(view.calls) >= 8:
        return Move(f"I read it {len(view.calls)} times.")
    ticket = f"NW-10{1 + len(view.calls) % 4}"
    return Move(f"{len(view.calls)} {LONG}", (("linear__get_ticket", {"id": ticket}),))


def at_once(view: View) -> Move:
    """Three calls in one answer, the second of which a person must allow; then their results, word for word."""
    if not view.calls:
        calls = (
            ("linear__get_ticket", {"id": "NW-101"}),
            ("linear__label_ticket", {"id": "NW-101", "label": "bug"}),
            ("linear__get_ticket", {"id": "NW-102"}),
        )
        return Move("All three.", calls)
    return Move("\n".join(f"{c.name}: {c.result}" for c in view.calls))


def compact_and_ask(view: View) -> Move:
    """Reads until its context was compacted once, then asks for a label, then ends."""
    if any(call.name == "linear__label_ticket" for call in view.calls):
        return Move(f"Labelled: {view.calls[-1].result}")
    if "What I did and found" in view.brief:
        return Move("Now the label.", (("linear__label_ticket", {"id": "NW-101", "label": "bug"}),))
    ticket = f"NW-10{1 + len(view.calls) % 4}"
    return Move(f"{len(view.calls)} {LONG}", (("linear__get_ticket", {"id": ticket}),))


def forget(view: View) -> Move:
    """Reads on, and calls a tool instead of writing down what it knows when its context is full."""
    words = "" if "context is nearly full" in view.last else f"{len(view.calls)} {LONG}"
    ticket = f"NW-10{1 + len(view.calls) % 4}"
    return Move(words, (("linear__get_ticket", {"id": ticket}),))


def learn(view: View) -> Move:
    """Looks, reads its skill up, and says what it learned."""
    if not view.calls:
        return Move("First I look.", (("linear__get_ticket", {"id": "NW-101"}),))
    if not view.made("skill__read"):
        return Move("Then I read.", (("skill__read", {"name": "ci-triage-runbook"}),))
    return Move(f"I learned: {view.calls[-1].result[:200]}")


def hand_out(view: View) -> Move:
    """Hands a ticket to each of its two delegates at once, then asks for a label, then ends."""
    if not view.calls:
        tasks = {"writer": "Answer ticket NW-101.", "reader": "Answer ticket NW-102."}
        return Move("Both.", tuple((name, {"task": task}) for name, task in tasks.items()))
    if not view.made("linear__label_ticket"):
        return Move("Now the label.", (("linear__label_ticket", {"id": "NW-101", "label": "bug"}),))
    return Move("\n".join(f"{c.name}: {c.result[:80]}" for c in view.calls))


def say_so(view: View) -> Move:
    """Reads the ticket its brief names, comments on it, and says so."""
    ticket = _TICKET.search(view.brief)
    known = {"id": ticket[0] if ticket else "NW-104"}
    if not view.calls:
        return Move("I read it.", (("linear__get_ticket", known),))
    if not view.made("linear__comment_ticket"):
        return Move("I answer.", (("linear__comment_ticket", {**known, "body": "Seen."}),))
    return Move(f"Answered {known['id']}.")


def long_winded(view: View) -> Move:
    """Says more than a row holds, reads a ticket, asks for a label, and ends."""
    if not view.calls:
        return Move(LONG * 10, (("linear__get_ticket", {"id": "NW-101"}),))
    if not view.made("linear__label_ticket"):
        return Move("Now the label.", (("linear__label_ticket", {"id": "NW-101", "label": "bug"}),))
    return Move("Labelled.")


def long_haul(view: View) -> Move:
    """Reads for 299 steps, then asks for a label, then ends."""
    seen = len(view.calls)
    if view.made("linear__label_ticket"):
        return Move("Labelled.")
    if seen == 299:
        return Move("Now the label.", (("linear__label_ticket", {"id": "NW-101", "label": "bug"}),))
    return Move(f"{seen}", (("linear__get_ticket", {"id": f"NW-10{1 + seen % 4}"}),))


def idle(view: View) -> Move:
    """Done, at once."""
    return Move("I did nothing.")


def heed(view: View) -> Move:
    """Reads on until it is told to wrap up; then it asks for a label, says what it was told last, and ends."""
    if view.made("linear__label_ticket"):
        return Move(f"I was told: {view.last}")
    if "Wrap up now" in view.last:
        return Move("Now the label.", (("linear__label_ticket", {"id": "NW-101", "label": "bug"}),))
    ticket = f"NW-10{1 + len(view.calls) % 4}"
    return Move(f"{len(view.calls)}", (("linear__get_ticket", {"id": ticket}),))


def refuse(view: View) -> Move:
    """A checker that wants the finding dropped."""
    return verdict(view, "reject", "this is not a defect")


def babble(view: View) -> Move:
    """Words where a verdict was asked for."""
    return Move("I would say that it is fine.")


PARTS: dict[str, Callable[[View], Move]] = {
    "repeat": repeat,
    "chatter": chatter,
    "read-on": read_on,
    "at-once": at_once,
    "compact-and-ask": compact_and_ask,
    "forget": forget,
    "heed": heed,
    "learn": learn,
    "hand-out": hand_out,
    "long-winded": long_winded,
    "long-haul": long_haul,
    "say-so": say_so,
    "idle": idle,
    "reject": refuse,
    "babble": babble,
    "adversary": lambda view: adversary(view, ()),
}
