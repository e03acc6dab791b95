"""How does one row of the ledger read as an OpenTelemetry GenAI span?

A settled try is one leaf span, and only leaves carry a cost (what they hang from is in `parents`): who adds up spans
counts nothing twice. Names under `gen_ai.` and `mcp.` are the conventions' own at the pinned revision; everything
else is ours, under `loop.`. No content leaves through here: of what a try noted beside its numbers only the
attributes named in `NOTED` pass.
"""

import re
from dataclasses import dataclass
from typing import Literal

from governance.conversation import Usage
from governance.parts import Json, usd
from governance.records import LedgerRow

SEMCONV = "semantic-conventions-genai@2026-11-22"
"""The GenAI conventions as they stood that day; their repository has no tags, and every name is 'Development'."""

ALIASES = {
    "gen_ai.system": "gen_ai.provider.name",
    "gen_ai.usage.cache_creation.input_tokens": "gen_ai.usage.cache_write.input_tokens",
}
"""Names of earlier revisions, read as those of the pinned one."""

NOTED = frozenset(
    {
        "anthropic.request.id",
        "gen_ai.conversation.compacted",
        "gen_ai.provider.name",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "loop.sandbox.seconds",
    }
)
"""What a try may have noted that is exported. A text that a model, a tool or a person wrote is never among it."""

PROVIDER = "anthropic"
"""The one kind of provider there is (`blocks.ModelProvider`)."""

_NS_PER_MS = 1_000_000
_LOW_CARDINALITY = re.compile(r"[a-z0-9_.]{1,64}")
_STATUS: dict[str, Literal["OK", "ERROR", "UNSET"]] = {
    "done": "OK",
    "late": "OK",
    "failed": "ERROR",
    "unknown": "UNSET",
}


@dataclass(frozen=True)
class Span:
    """One span. Times are Unix nanoseconds, UTC; money in `attributes` is a text, for OTLP has no decimals."""

    seq: int
    """The ledger's settling number: of two spans with one id the higher is the one that counts."""
    trace_id: str
    span_id: str
    parent_span_id: str | None
    """None for a run: nothing is above it."""
    name: str
    kind: Literal["CLIENT", "INTERNAL"]
    start_time_unix_nano: int
    end_time_unix_nano: int
    status_code: Literal["OK", "ERROR", "UNSET"]
    """UNSET for a try of which nobody can say what became."""
    attributes: Json


def span_of(row: LedgerRow) -> Span:
    """The span of a settled try. Raises `ValueError` for an open one: it has no end yet."""
    if row.status == "open" or row.ended_at is None:
        raise ValueError(f"try {row.attempt:,} of effect {row.key!r} is open; it has no span yet")
    name, remote, what = _what(row)
    error = _error(row)
    return Span(
        seq=row.seq,
        trace_id=row.trace,
        span_id=row.span,
        parent_span_id=row.parent_span,
        name=name,
        kind="CLIENT" if remote else "INTERNAL",
        start_time_unix_nano=row.started_at * _NS_PER_MS,
        end_time_unix_nano=row.ended_at * _NS_PER_MS,
        status_code="ERROR" if error and row.status != "unknown" else _STATUS[row.status],
        attributes=present({**what, "error.type": error, **_where(row), **_money(row)}),
    )


def _what(row: LedgerRow) -> tuple[str, bool, Json]:
    """Span name, whether somebody else does it, and what the conventions call it."""
    noted = {ALIASES.get(name, name): value for name, value in row.attributes.items()}
    noted = {name: value for name, value in noted.items() if name in NOTED}
    if row.kind == "model":
        model = noted.setdefault("gen_ai.request.model", row.name)
        return f"chat {model}", True, {**_inference(row), **noted}
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": row.name}
    if row.kind == "tool":
        return f"execute_tool {row.name}", True, {**tool, "mcp.method.name": "tools/call", **noted}
    if row.kind == "push":
        # A span's name has few values: the branch is in `loop.push.branch`.
        pushed = {**tool, "gen_ai.tool.name": "git.push", "loop.push.branch": row.name}
        return "execute_tool git.push", True, {**pushed, **noted}
    return f"execute_tool {row.name}", False, {**tool, **noted}


def _inference(row: LedgerRow) -> Json:
    used: Usage = row.usage
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.response.model": row.response_model,
        "gen_ai.usage.input_tokens": used.input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cache_read_tokens,
        "gen_ai.usage.cache_write.input_tokens": (
            used.cache_write_5m_tokens + used.cache_write_1h_tokens
        ),
        "gen_ai.usage.reasoning.output_tokens": used.thinking_tokens,
        "loop.usage.cache_write_1h.input_tokens": used.cache_write_1h_tokens,
        "loop.model": row.name,
    }


def _where(row: LedgerRow) -> Json:
    place, by = row.place, row.principal
    return {
        "gen_ai.workflow.name": by.loop,
        "gen_ai.agent.name": by.agent,
        "loop.run.id": place.run,
        "loop.item.id": place.owner if place.owner != place.run else None,
        "loop.owner": by.owner,
        "loop.team": by.team,
        "loop.role": by.role,
        "loop.lane": place.lane,
        "loop.round": place.round,
        "loop.step": place.step,
        "loop.ordinal": place.ordinal,
        "loop.attempt": row.attempt,
        "loop.kind": row.kind,
        "loop.status": row.status,
    }


def _money(row: LedgerRow) -> Json:
    known = row.cost_status != "open"
    return {
        "loop.cost.amount": None if row.cost is None else f"{usd(row.cost):f}",
        "loop.cost.list_amount": None if row.list_cost is None else f"{usd(row.list_cost):f}",
        "loop.cost.currency": "USD",
        "loop.cost.status": row.cost_status if known else "unknown",
        # What an unknown try may have cost at most; a known one has its cost.
        "loop.cost.reserved": None if known else f"{usd(row.reserved):f}",
        "loop.cost.sku": row.price.get("model"),
        "loop.cost.price_book": row.price.get("price_book"),
        "loop.cost.price.input": row.price.get("input"),
        "loop.cost.price.output": row.price.get("output"),
        "loop.cost.price.cache_read": row.price.get("cache_read"),
        "loop.cost.price.cache_write_5m": row.price.get("cache_write_5m"),
        "loop.cost.price.cache_write_1h": row.price.get("cache_write_1h"),
        "loop.cost.price.call": row.price.get("per_call"),
        "loop.cost.price.vcpu_second": row.price.get("vcpu_second"),
        "loop.cost.price.gib_second": row.price.get("gib_second"),
    }


def _error(row: LedgerRow) -> str | None:
    if row.error is None:
        return None
    return row.error if _LOW_CARDINALITY.fullmatch(row.error) else "_OTHER"


def present(attributes: Json) -> Json:
    """The attributes that have a value."""
    return {name: value for name, value in attributes.items() if value is not None}
