"""What is each ticket about, and who should look at it first?"""

from demo.model.view import Json, Move, View, objects

_LABELS = {
    "bug": ("error", "crash", "fail", "wrong", "broken", "exception"),
    "performance": ("slow", "timeout", "latency", "memory"),
    "question": ("how ", "why ", "can i", "?"),
}


def triage(view: View) -> Move:
    """List the tickets, label and comment on each in one step, report."""
    listing = listing_tool(view)
    if listing is None:
        return Move("I can list no tickets here, so I did nothing.")
    if not view.made(listing):
        return Move("I look at the tickets.", (view.use(listing),))
    looked = view.made(listing)[-1]
    if looked.failed:
        return Move(f"I could not list the tickets: {looked.result.strip()[:300]}")
    tickets = [t for t in objects(looked.result) if _id(t)]
    after = view.calls[view.calls.index(looked) + 1 :]
    if tickets and not after:
        calls = tuple(call for ticket in tickets for call in _handle(view, ticket))
        if calls:
            return Move(f"I sort {len(tickets)} tickets.", calls)
    refused = "".join(f"\n- {c.name}: {c.result.strip()[:200]}" for c in after if c.failed)
    done = f"I sorted {len(tickets)} tickets: " + ", ".join(
        f"{_id(t)} is {label(t)}" for t in tickets
    )
    return Move(done + (f"\nRefused:{refused}" if refused else ""))


def listing_tool(view: View) -> str | None:
    """The tool that lists tickets, or None where there is none."""
    return view.tool("list_issues") or view.tool("list_tickets")


def label(ticket: Json) -> str:
    """One word for what the ticket is about, from its words."""
    text = f"{ticket.get('title', '')} {ticket.get('description', '')} {ticket.get('body', '')}"
    words = text.lower()
    return next((n for n, signs in _LABELS.items() if any(s in words for s in signs)), "feature")


def _handle(view: View, ticket: Json) -> list[tuple[str, Json]]:
    word, who = label(ticket), _id(ticket)
    ids = {
        "id": who,
        "issue_id": who,
        "issue": who,
        "ticket": who,
        "number": who,
        "identifier": who,
    }
    calls: list[tuple[str, Json]] = []
    labels = view.tool("add_label") or view.tool("set_label") or view.tool("update_issue")
    comments = view.tool("comment") or view.tool("add_comment") or view.tool("create_comment")
    if labels:
        calls.append(view.use(labels, **ids, label=word, labels=[word]))
    if comments:
        said = f"This looks like a {word}: {ticket.get('title', 'no title')}."
        calls.append(view.use(comments, **ids, body=said, comment=said, text=said))
    return calls


def _id(ticket: Json) -> object:
    return next((ticket[k] for k in ("identifier", "id", "number", "key") if ticket.get(k)), None)
