"""What is each ticket about, and who should look at it first?"""

import re

from demo.model.view import Json, Move, View, objects

_LABELS = {
    "account": ("address", "password", "login", "account"),
    "bug": ("error", "crash", "fail", "wrong", "broken", "too much", "slow", "nobody came"),
    "question": ("how ", "why ", "can i", "?"),
    "request": ("please", "would like", "missing"),
}
_GIVEN = re.compile(r"^id: (\S+)$", re.MULTILINE)


def triage(view: View) -> Move:
    """Label and comment on the ticket given, or on every one listed; then report."""
    given = _GIVEN.search(view.brief)
    look, known = view.tool("__get_ticket"), {"id": given[1]} if given else {}
    if look is None or not given:
        look = listing_tool(view)
    if look is None:
        return Move("I can list no tickets here, so I did nothing.")
    if not view.made(look):
        return Move("I look at it.", (view.use(look, **known),))
    looked = view.made(look)[-1]
    if looked.failed:
        return Move(f"I could not look: {looked.result.strip()[:300]}")
    tickets = [t for t in objects(looked.result) if _id(t)] or [known]
    after = view.calls[view.calls.index(looked) + 1 :]
    calls = tuple(call for ticket in tickets for call in _handle(view, ticket))
    if calls and not after:
        return Move(f"I sort {len(tickets)} of them.", calls)
    refused = "".join(f"\n- {c.name}: {c.result.strip()[:200]}" for c in after if c.failed)
    sorted_out = ", ".join(f"{_id(t)} is {label(t)}" for t in tickets)
    return Move(f"I sorted: {sorted_out}." + (f"\nRefused:{refused}" if refused else ""))


def listing_tool(view: View) -> str | None:
    """The tool that lists tickets, or None where there is none."""
    return view.tool("list_tickets") or view.tool("linear__list_issues")


def label(ticket: Json) -> str:
    """One word for what the ticket is about, from its words."""
    told = f"{ticket.get('title', '')} {ticket.get('description', '')} {ticket.get('body', '')}"
    words = told.lower()
    return next((n for n, signs in _LABELS.items() if any(s in words for s in signs)), "unsorted")


def _handle(view: View, ticket: Json) -> list[tuple[str, Json]]:
    word, who = label(ticket), _id(ticket)
    ids = dict.fromkeys(("id", "issue_id", "ticket", "number", "identifier"), who)
    said = f"Thank you. I understood this as {word}: {ticket.get('title', who)}. A colleague takes it from here."
    wanted = (
        (_tool(view, "label"), {"label": word, "labels": [word]}),
        (_tool(view, "comment"), {"body": said, "comment": said}),
    )
    return [view.use(tool, **ids, **known) for tool, known in wanted if tool]


def _tool(view: View, word: str) -> str | None:
    """The ticket system's tool for it; the code host has one for comments too."""
    names = [name for name in view.tools if word in name and not name.startswith("github__")]
    return names[0] if names else None


def _id(ticket: Json) -> object:
    return next((ticket[k] for k in ("identifier", "id", "number", "key") if ticket.get(k)), None)
