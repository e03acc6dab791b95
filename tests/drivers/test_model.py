"""Does an answer reach us whole, the same in pieces as in one, and with the provider's own counts?

Against the scripted model, a real server in another process.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from demo.model.process import running
from drivers.model import AnthropicModel
from governance.conversation import ModelRequest, Reply, ToolResult, assistant, tool_results, user
from governance.parts import Json
from governance.prices import cost, input_bound
from tests.drivers.provider import BOTH, KEY, MAKER, MODEL, SMALL, streamed, talk


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--key", KEY) as base:
        yield base


@pytest.fixture
def model(url: str) -> Iterator[AnthropicModel]:
    yield AnthropicModel(url, KEY)
    talk(url, "/_faults", method="DELETE")


@pytest.mark.parametrize("request_", [SMALL, MAKER], ids=["text", "tool call"])
async def test_a_streamed_answer_equals_one_in_one_piece(
    model: AnthropicModel, request_: ModelRequest
):
    whole = await model.reply(request_, timeout_s=10)
    pieces = await model.reply(streamed(request_), timeout_s=10)

    def said(reply: Reply) -> object:
        content = [{k: v for k, v in block.items() if k != "id"} for block in reply.content]
        return content, reply.stop, reply.usage, reply.model

    assert said(whole) == said(pieces)
    assert whole.request_id == f"req_{whole.response_id}"
    assert pieces.request_id == f"req_{pieces.response_id}"


async def test_a_tool_call_comes_with_its_arguments(model: AnthropicModel):
    reply = await model.reply(streamed(MAKER), timeout_s=10)
    assert [(c.name, c.arguments) for c in reply.calls] == [
        ("workspace__run", {"command": "pytest -q"})
    ]


async def test_the_count_is_the_providers_and_below_our_bound(model: AnthropicModel, url: str):
    counted = await model.count(MAKER)
    reply = await model.reply(MAKER, timeout_s=10)
    assert counted == reply.usage.input_tokens
    assert 0 < counted <= input_bound(MAKER)


async def test_schema_and_principal_go_over_the_wire(model: AnthropicModel, url: str):
    schema: Json = {"type": "object", "properties": {"findings": {"type": "array"}}}
    who = {"run": "r1", "loop": "triage", "role": "lead", "agent": "lead"}
    request = ModelRequest(MODEL, "s", (user("Seen: []"),), schema=schema, metadata=who)
    reply = await model.reply(request, timeout_s=10)
    sent = talk(url, "/_requests")[-1]
    assert json.loads(reply.text) == {"findings": []}
    assert sent["body"]["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert sent["body"]["metadata"] == {"user_id": "r1/triage/lead"}
    assert sent["headers"]["x-stainless-retry-count"] == "0"


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "pause_turn", "quantum_stop"])
@pytest.mark.parametrize("request_", [MAKER, streamed(MAKER)], ids=["whole", "streamed"])
async def test_no_stop_reason_but_tool_use_makes_tool_calls(
    model: AnthropicModel, url: str, request_: ModelRequest, stop: str
):
    talk(url, "/_faults", {"kind": "stop", "stop": stop})
    reply = await model.reply(request_, timeout_s=10)
    assert reply.stop == stop
    assert any(block["type"] == "tool_use" for block in reply.content)
    assert reply.calls == ()


@BOTH
async def test_a_block_of_unknown_type_passes_as_it_is(
    model: AnthropicModel, url: str, request_: ModelRequest
):
    talk(url, "/_faults", {"kind": "odd_block"})
    reply = await model.reply(request_, timeout_s=10)
    assert reply.content[-1] == {"type": "hologram", "data": [1, 2]}


async def test_a_real_cut_at_max_tokens_is_an_answer(model: AnthropicModel):
    reply = await model.reply(replace(SMALL, max_tokens=3), timeout_s=10)
    assert (reply.stop, reply.usage.output_tokens) == ("max_tokens", 3)


async def converse(driver: AnthropicModel, steps: int, **change: Any) -> list[Reply]:
    """A maker's conversation that grows by one failing run a step."""
    request = replace(MAKER, system="Role: maker\n" + "Work carefully. " * 400, **change)
    replies: list[Reply] = []
    for step in range(steps):
        reply = await driver.reply(request, timeout_s=10)
        replies.append(reply)
        output = f"FAILED tests/test_{step}.py::test_it - assert 1 == 2\n{'x' * 3000}\n1 failed"
        results = tuple((call, ToolResult(output)) for call in reply.calls)
        said = tool_results(results) if results else user(f"Go on. {output}")
        request = replace(request, messages=(*request.messages, assistant(reply), said))
    return replies


async def test_a_long_conversation_bills_its_past_as_cache_reads(model: AnthropicModel):
    replies = await converse(model, 6)
    first, later = replies[0].usage, [r.usage for r in replies[1:]]
    assert first.cache_read_tokens == 0
    assert first.cache_write_5m_tokens > 1024
    for before, usage in zip([first, *later], later, strict=False):
        assert usage.cache_read_tokens == before.input_tokens
        assert usage.cache_write_5m_tokens == usage.input_tokens - before.input_tokens


async def test_caching_can_be_off_or_an_hour_long(url: str):
    off = await converse(AnthropicModel(url, KEY, cache="off"), 3)
    assert all(r.usage.cache_read_tokens + r.usage.cache_write_5m_tokens == 0 for r in off)
    hour = await converse(AnthropicModel(url, KEY, cache="1h"), 2, model="claude-opus-4-8")
    assert hour[0].usage.cache_write_1h_tokens > 1024
    assert hour[0].usage.cache_write_5m_tokens == 0
    assert hour[1].usage.cache_read_tokens == hour[0].usage.input_tokens


async def test_a_conversation_read_back_in_other_key_order_is_still_cached(model: AnthropicModel):
    system = "Role: maker\n" + "Work slowly. " * 500
    first = replace(MAKER, system=system)
    await model.reply(first, timeout_s=10)
    shuffled = tuple(dict(reversed(list(m.items()))) for m in first.messages)
    again = await model.reply(replace(first, messages=shuffled), timeout_s=10)
    assert again.usage.cache_read_tokens == again.usage.input_tokens


@pytest.mark.parametrize("name", ["claude-sonnet-4-6", "claude-opus-5-5", "claude-haiku-4-5"])
async def test_the_providers_bill_is_our_cost_to_the_pico(name: str):
    now = 1_795_000_000_000
    with running() as own:
        model = AnthropicModel(own, KEY)
        replies = [*await converse(model, 4, model=name), *await converse(model, 2, model=name)]
        hour = AnthropicModel(own, KEY, cache="1h")
        replies += await converse(hour, 2, model=name, max_tokens=20_000)
        bill = talk(own, "/_bill")
    costs = [cost(reply.usage, reply.model, now) for reply in replies]
    assert None not in costs
    assert sum(c for c in costs if c) == bill["cost_pico_usd"] > 0
    assert bill["answered"] == bill["calls"] == len(replies)
