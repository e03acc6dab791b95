"""What does the ticket system offer?"""

import json

from demo.forge.endpoint import Arguments, Refused, Tool
from demo.forge.state import Row, State

_TEXT = {"type": "string", "minLength": 1}


class Tickets:
    """The tools of the ticket system. A new ticket counts as triaged once it has a label."""

    def __init__(self, state: State) -> None:
        self._state = state

    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        states = {"type": "string", "enum": ["new", "triaged", "closed", "all"], "default": "new"}
        return (
            Tool("list_tickets", "Tickets in a state.", {"state": states}, self.listed),
            Tool(
                "get_ticket",
                "One ticket with its comments.",
                {"id": _TEXT},
                self.ticket,
                required=("id",),
            ),
            Tool(
                "label_ticket",
                "Put a label on a ticket. A label that is there already stays once.",
                {"id": _TEXT, "label": {**_TEXT, "maxLength": 40}},
                self.label,
                required=("id", "label"),
                read_only=False,
                idempotent=True,
            ),
            Tool(
                "comment_ticket",
                "Comment on a ticket; its reporter sees it.",
                {"id": _TEXT, "body": _TEXT},
                self.comment,
                required=("id", "body"),
                read_only=False,
            ),
        )

    async def listed(self, given: Arguments) -> list[Row]:
        """Tickets in a state."""
        wanted = given.get("state", "new")
        rows = self._state.rows("SELECT * FROM tickets ORDER BY id")
        return [_shown(row) for row in rows if wanted in ("all", row["state"])]

    async def ticket(self, given: Arguments) -> Row:
        """One ticket."""
        comments = self._state.rows(
            "SELECT author, body FROM comments WHERE subject = ? ORDER BY id", given["id"]
        )
        return {**self._ticket(given["id"]), "comments": list(comments)}

    async def label(self, given: Arguments) -> Row:
        """The ticket with the label."""
        ticket = self._ticket(given["id"])
        labels = list(dict.fromkeys([*ticket["labels"], given["label"]]))
        state = "triaged" if ticket["state"] == "new" else ticket["state"]
        self._state.write(
            "UPDATE tickets SET labels = ?, state = ? WHERE id = ?",
            json.dumps(labels),
            state,
            ticket["id"],
        )
        return self._ticket(ticket["id"])

    async def comment(self, given: Arguments) -> Row:
        """The comment."""
        ticket = self._ticket(given["id"])
        made = self._state.write(
            "INSERT INTO comments(subject, author, body) VALUES (?, 'agent', ?)",
            ticket["id"],
            given["body"],
        )
        return {"id": made, "ticket": ticket["id"], "body": given["body"]}

    def _ticket(self, name: str) -> Row:
        row = self._state.row("SELECT * FROM tickets WHERE id = ?", name)
        if row is None:
            raise Refused(f"There is no ticket {name!r}.")
        return _shown(row)


def _shown(row: Row) -> Row:
    return {**row, "labels": json.loads(row["labels"])}
