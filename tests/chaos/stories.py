"""What the chaos happens to: stories whose ends are known."""

from dataclasses import dataclass, field
from typing import Any

MANY_LIVES = {
    "max_lives": 100, "max_steps": 1_000, "max_tokens_per_run": 100_000_000,
    "max_cost_usd_per_run": 1_000,
}  # fmt: skip
"""A story is killed more often than any item should be, and every model call cut off counts towards its limits."""


@dataclass(frozen=True)
class Story:
    """One firing of one loop, and what is changed in the registry for it."""

    name: str
    loop: str
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    merges: bool = False
    """It changes the forge's repository, which is put back before each telling."""


TICKETS = Story(
    "tickets",
    "ticket-triage",
    {
        "find": {"max_items": 1, "arguments": {"state": "all"}},
        "harness": {**MANY_LIVES, "approvals": {"linear.comment_ticket": "pause_for_human"}},
    },
)
"""A lead reads a ticket, labels it (idempotent) and comments on it once a person approved."""

DELEGATES = Story(
    "delegates",
    "ticket-triage",
    {
        "find": {"max_items": 1, "arguments": {"state": "all"}},
        "harness": {**MANY_LIVES, "approvals": {"linear.label_ticket": "pause_for_human"}},
        "subagents": [
            {"name": "writer", "instructions": "draft.md@v2", "mcp_servers": {"linear": ["get_ticket", "comment_ticket"]}},
            {"name": "reader", "instructions": "review.md@v1", "mcp_servers": {"linear": ["get_ticket", "comment_ticket"]}},
        ],
        "play": {"tickets/v1": "hand-out", "draft/v2": "say-so", "review/v1": "say-so"},
    },
)  # fmt: skip
"""Two delegates read and comment side by side, unasked; their lead labels once a person approved."""

LONG_WINDED = Story(
    "long-winded",
    "ticket-triage",
    {
        "find": {"max_items": 1, "arguments": {"state": "all"}},
        "harness": {**MANY_LIVES, "approvals": {"linear.label_ticket": "pause_for_human"}},
        "play": {"tickets/v1": "long-winded"},
    },
)
"""A lead whose first answer is a blob, and who labels a ticket once a person approved."""

NIGHT_FIX = Story(
    "night-fix",
    "night-fix",
    {"harness": MANY_LIVES, "organisation": {"sandbox": {"kind": "docker"}}},
    merges=True,
)
"""A red build is mended in a sandbox, verified, checked, pushed, and merged once a person approved."""
