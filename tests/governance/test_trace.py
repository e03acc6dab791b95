"""One settled try is one span by the conventions' names, with its cost and without any content."""

from dataclasses import replace
from typing import Any

import pytest

from governance.conversation import Usage
from governance.effects import Place, Principal
from governance.records import LedgerRow
from governance.trace import NOTED, Span, span_of

PRICE = {
    "model": "claude-sonnet-4-6",
    "price_book": "genai-prices==0.2.3",
    "input": "3",
    "cache_read": "0.30",
}


def row(**changes: Any) -> LedgerRow:
    plain = LedgerRow(
        seq=7, key="i1-1-maker-0-0", attempt=2, place=Place("r1", "i1", 1, "maker", 0, 0),
        principal=Principal("night-fix", "noor", "platform", "fix-drafter", "maker"), kind="model", name="sonnet",
        status="done", started_at=1_000, ended_at=1_250, usage=Usage(100, 20, 60, 10, 5, 7), reserved=9,
        cost=1_500_000_000_001, cost_status="priced", price=PRICE, response_model="claude-sonnet-4-6-2026",
        span="s" * 16, parent_span="p" * 16, trace="t" * 32, error=None,
        attributes={"gen_ai.request.model": "claude-sonnet-4-6", "gen_ai.response.finish_reasons": ["end_turn"]},
    )  # fmt: skip
    return replace(plain, **changes)


def test_a_model_call_is_a_chat_span_of_a_client():
    span = span_of(row())
    assert replace(span, attributes={}) == Span(
        seq=7, trace_id="t" * 32, span_id="s" * 16, parent_span_id="p" * 16, name="chat claude-sonnet-4-6",
        kind="CLIENT", start_time_unix_nano=1_000_000_000, end_time_unix_nano=1_250_000_000, status_code="OK",
        attributes={},
    )  # fmt: skip
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-sonnet-4-6",
        "gen_ai.response.model": "claude-sonnet-4-6-2026",
        "gen_ai.response.finish_reasons": ["end_turn"],
        "gen_ai.workflow.name": "night-fix",
        "gen_ai.agent.name": "fix-drafter",
        # Input counts cached tokens too, as the conventions want it.
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_write.input_tokens": 15,
        "gen_ai.usage.reasoning.output_tokens": 7,
        "loop.usage.cache_write_1h.input_tokens": 5,
        "loop.model": "sonnet",
        "loop.run.id": "r1",
        "loop.item.id": "i1",
        "loop.owner": "noor",
        "loop.team": "platform",
        "loop.role": "maker",
        "loop.lane": "maker",
        "loop.round": 1,
        "loop.step": 0,
        "loop.ordinal": 0,
        "loop.attempt": 2,
        "loop.kind": "model",
        "loop.status": "done",
        "loop.cost.amount": "1.500000000001",
        "loop.cost.currency": "USD",
        "loop.cost.status": "priced",
        "loop.cost.sku": "claude-sonnet-4-6",
        "loop.cost.price_book": "genai-prices==0.2.3",
        "loop.cost.price.input": "3",
        "loop.cost.price.cache_read": "0.30",
    }


@pytest.mark.parametrize(
    ("kind", "name", "span_name", "span_kind", "tool"),
    [
        ("tool", "github.get_issue", "execute_tool github.get_issue", "CLIENT", "github.get_issue"),
        ("sandbox", "workspace.edit", "execute_tool workspace.edit", "INTERNAL", "workspace.edit"),
        ("push", "looprail/night-fix/i1", "execute_tool git.push", "CLIENT", "git.push"),
    ],
)
def test_every_other_effect_is_an_executed_tool(
    kind: str, name: str, span_name: str, span_kind: str, tool: str
):
    span = span_of(row(kind=kind, name=name, attributes={}))
    assert (span.name, span.kind) == (span_name, span_kind)
    assert span.attributes["gen_ai.operation.name"] == "execute_tool"
    assert span.attributes["gen_ai.tool.name"] == tool
    assert span.attributes.get("mcp.method.name") == ("tools/call" if kind == "tool" else None)
    assert "gen_ai.request.model" not in span.attributes
    assert "gen_ai.usage.input_tokens" not in span.attributes


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("done", None, "OK"),
        ("done", "tool_error", "ERROR"),
        ("late", None, "OK"),
        ("failed", "unavailable", "ERROR"),
        ("failed", None, "ERROR"),
        ("unknown", "cancelled", "UNSET"),
    ],
)
def test_the_status_says_what_is_known(status: str, error: str | None, code: str):
    span = span_of(row(status=status, error=error))
    assert (span.status_code, span.attributes.get("error.type")) == (code, error)


def test_an_error_that_is_a_sentence_is_not_a_type():
    assert span_of(row(error="The page said: hunter2")).attributes["error.type"] == "_OTHER"


def test_what_was_said_in_a_call_never_leaves_with_its_span():
    noted = {
        "gen_ai.input.messages": "hunter2",
        "error.message": "hunter2",
        "anything.new": "hunter2",
    }
    kept = {name: "kept" for name in NOTED}
    span = span_of(row(attributes={**noted, **kept}))
    assert "hunter2" not in str(span)
    assert {name for name, value in span.attributes.items() if value == "kept"} == NOTED


def test_a_name_of_an_earlier_revision_is_read_as_the_pinned_one():
    assert (
        span_of(row(attributes={"gen_ai.system": "aws.bedrock"})).attributes["gen_ai.provider.name"]
        == "aws.bedrock"
    )


def test_an_unknown_cost_is_absent_with_its_bound_and_an_unpriced_one_has_none():
    lost = span_of(
        row(status="unknown", cost=None, cost_status="open", price={}, reserved=2 * 10**12)
    ).attributes
    assert (lost.get("loop.cost.amount"), lost["loop.cost.status"], lost["loop.cost.reserved"]) == (
        None,
        "unknown",
        "2",
    )
    odd = span_of(row(cost=None, cost_status="unpriced", price={})).attributes
    assert ("loop.cost.amount" in odd, odd["loop.cost.status"], "loop.cost.reserved" in odd) == (
        False,
        "unpriced",
        False,
    )


def test_an_amount_is_written_out_whatever_its_size():
    assert span_of(row(cost=1)).attributes["loop.cost.amount"] == "0.000000000001"
    assert span_of(row(cost=0)).attributes["loop.cost.amount"] == "0"
    assert span_of(row(cost=10**20 + 1)).attributes["loop.cost.amount"] == "100000000.000000000001"


def test_a_heartbeats_own_work_belongs_to_no_item():
    assert "loop.item.id" not in span_of(row(place=Place("r1", "r1", 0, "look", 0, 0))).attributes


def test_an_open_try_has_no_span():
    with pytest.raises(ValueError, match=r"try 2 of effect 'i1-1-maker-0-0' is open"):
        span_of(row(status="open", ended_at=None))
