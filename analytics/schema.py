"""What is in the lake's files?

This is the contract with everyone who reads them: one row of `spans` is one leaf span, one of `parents` a span that
leaves hang from, with the attributes we query promoted to columns and the rest as JSON. Money is DECIMAL(20,12) in
USD, tokens and times are whole numbers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pyarrow as pa

from governance.parts import Json
from governance.trace import SEMCONV, Span

TRACE_SCHEMA = "2"
"""Goes up when a column or its meaning changes; a lake of another number is made again from the ledger."""

MONEY = pa.decimal128(20, 12)
METADATA = {"trace_schema": TRACE_SCHEMA, "semconv": SEMCONV}


@dataclass(frozen=True)
class Column:
    """An attribute that is a column of its own; one that is `money` comes as a text and is kept as a decimal."""

    name: str
    attribute: str
    type: Literal["text", "count", "money"] = "text"


PROMOTED = (
    Column("gen_ai_operation_name", "gen_ai.operation.name"),
    Column("gen_ai_provider_name", "gen_ai.provider.name"),
    Column("gen_ai_request_model", "gen_ai.request.model"),
    Column("gen_ai_response_model", "gen_ai.response.model"),
    Column("gen_ai_workflow_name", "gen_ai.workflow.name"),
    Column("gen_ai_agent_name", "gen_ai.agent.name"),
    Column("gen_ai_tool_name", "gen_ai.tool.name"),
    Column("mcp_method_name", "mcp.method.name"),
    Column("error_type", "error.type"),
    Column("input_tokens", "gen_ai.usage.input_tokens", "count"),
    Column("output_tokens", "gen_ai.usage.output_tokens", "count"),
    Column("cache_read_tokens", "gen_ai.usage.cache_read.input_tokens", "count"),
    Column("cache_write_tokens", "gen_ai.usage.cache_write.input_tokens", "count"),
    Column("cache_write_1h_tokens", "loop.usage.cache_write_1h.input_tokens", "count"),
    Column("reasoning_tokens", "gen_ai.usage.reasoning.output_tokens", "count"),
    Column("loop_run_id", "loop.run.id"),
    Column("loop_item_id", "loop.item.id"),
    Column("loop_owner", "loop.owner"),
    Column("loop_team", "loop.team"),
    Column("loop_role", "loop.role"),
    Column("loop_lane", "loop.lane"),
    Column("loop_round", "loop.round", "count"),
    Column("loop_attempt", "loop.attempt", "count"),
    Column("loop_kind", "loop.kind"),
    Column("loop_status", "loop.status"),
    Column("cost_usd", "loop.cost.amount", "money"),
    Column("list_cost_usd", "loop.cost.list_amount", "money"),
    Column("cost_status", "loop.cost.status"),
    Column("reserved_usd", "loop.cost.reserved", "money"),
    Column("price_input_mtok", "loop.cost.price.input", "money"),
    Column("price_output_mtok", "loop.cost.price.output", "money"),
    Column("price_cache_read_mtok", "loop.cost.price.cache_read", "money"),
    Column("price_cache_write_5m_mtok", "loop.cost.price.cache_write_5m", "money"),
    Column("price_cache_write_1h_mtok", "loop.cost.price.cache_write_1h", "money"),
    Column("price_call", "loop.cost.price.call", "money"),
    Column("price_vcpu_second", "loop.cost.price.vcpu_second", "money"),
    Column("price_gib_second", "loop.cost.price.gib_second", "money"),
    Column("price_book", "loop.cost.price_book"),
    Column("price_sku", "loop.cost.sku"),
)
_TYPES = {"text": pa.string(), "count": pa.int64(), "money": MONEY}
_BARE = (
    ("seq", pa.int64()),
    ("trace_id", pa.string()),
    ("span_id", pa.string()),
    ("parent_span_id", pa.string()),
    ("name", pa.string()),
    ("kind", pa.string()),
    ("start_time_unix_nano", pa.int64()),
    ("end_time_unix_nano", pa.int64()),
    ("status_code", pa.string()),
)


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    return pa.schema(fields, metadata=METADATA)


SPANS = _schema(
    *_BARE,
    *((column.name, _TYPES[column.type]) for column in PROMOTED),
    ("attributes", pa.string()),
)
"""Grain of `spans/`: one settled try of one effect; of `parents.parquet`: one run, item or conversation of a run that
has ended. `attributes` are the ones that are no column, as a JSON object."""

RUNS = _schema(
    ("run", pa.string()), ("loop", pa.string()), ("slot", pa.string()), ("status", pa.string()),
    ("open_items", pa.int64()), ("opened_at_ms", pa.int64()), ("closed_at_ms", pa.int64()),
    ("stop_reason", pa.string()),
)  # fmt: skip
"""Grain: one heartbeat with its items."""

ITEMS = _schema(
    ("item", pa.string()), ("loop", pa.string()), ("run", pa.string()), ("status", pa.string()),
    ("stop_reason", pa.string()), ("rounds", pa.int64()), ("lives", pa.int64()),
    ("awake_ms", pa.int64()), ("found_at_ms", pa.int64()), ("closed_at_ms", pa.int64()),
)  # fmt: skip
"""Grain: one work item, as it stood at the export. Its title and brief are content and stay in the store."""

EVIDENCE = _schema(
    ("item", pa.string()), ("nth", pa.int64()), ("kind", pa.string()), ("tree", pa.string()),
    ("verdict", pa.string()), ("by", pa.string()),
)  # fmt: skip
"""Grain: one thing a verifier or checker established about one tree of an item, in order (`nth`)."""


def spans_table(spans: Sequence[Span]) -> pa.Table:
    """The spans as rows of `SPANS`, in the order given."""
    return pa.Table.from_pylist([_record(span) for span in spans], schema=SPANS)


def _record(span: Span) -> Json:
    rest = dict(span.attributes)
    promoted = {c.name: _typed(c, rest.pop(c.attribute, None)) for c in PROMOTED}
    bare = {name: getattr(span, name) for name, _ in _BARE}
    return {**bare, **promoted, "attributes": json.dumps(rest, sort_keys=True)}


def _typed(column: Column, value: object) -> object:
    return Decimal(str(value)) if column.type == "money" and value is not None else value
