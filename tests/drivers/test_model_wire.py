"""Is what we send what was stored, and what we read judged by what it says?"""

import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.model.answer import Untrustworthy, reply_of, usage_of
from drivers.model.render import counted_body, messages_body, wire
from governance.conversation import ModelRequest, Reply, ToolSpec, Usage, user
from governance.parts import Json, canonical
from governance.prices import cost
from tests.drivers.provider import CALL, MESSAGE, MODEL, VALUES

TOOLS = (ToolSpec("a", "A", {"type": "object"}), ToolSpec("b", "B", {"type": "object"}))


def breakpoints(value: Any) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(breakpoints, value.values()))
    return sum(map(breakpoints, value)) if isinstance(value, list) else 0


def results(*texts: str) -> Json:
    blocks = [{"type": "tool_result", "tool_use_id": "t", "content": [], "is_error": False}]
    return {"role": "user", "content": [*({**blocks[0], "tool_use_id": t} for t in texts)]}


# what we send ---------------------------------------------------------------


def test_breakpoints_stand_on_tools_system_and_the_last_two_user_messages():
    turns = [user("one"), {"role": "assistant", "content": [CALL]}, results("t1"), user("four")]
    body = messages_body(ModelRequest(MODEL, "sys", tuple(turns), TOOLS), "5m")
    mark = {"type": "ephemeral"}
    assert body["tools"][-1]["cache_control"] == mark
    assert body["system"][0]["cache_control"] == mark
    assert body["messages"][2]["content"][-1]["cache_control"] == mark
    assert body["messages"][3]["content"][-1]["cache_control"] == mark
    assert breakpoints(body) == 4


@given(
    turns=st.lists(
        st.sampled_from([
            user("x"), user(""), {"role": "user", "content": "plain"}, {"role": "user", "content": []},
            results("t1", "t2"), {"role": "assistant", "content": [{"type": "thinking", "thinking": "h"}]},
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        ]), min_size=1, max_size=12,
    ),
    tools=st.sampled_from([(), TOOLS]),
    system=st.sampled_from(["", "sys"]),
)  # fmt: skip
def test_there_are_never_more_breakpoints_than_four_nor_one_where_none_may_be(
    turns: list[Json], tools: tuple[ToolSpec, ...], system: str
):
    before = copy.deepcopy(turns)
    request = ModelRequest(MODEL, system, tuple(turns), tools)
    body = messages_body(request, "1h")
    assert breakpoints(body) <= 4
    assert turns == before, "what is stored is untouched"
    assert breakpoints(messages_body(request, "off")) == 0
    for message in body["messages"]:
        for block in message["content"]:
            if "cache_control" in block:
                assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
                assert block.get("text", "x")
                assert message["role"] == "user"


def test_the_same_conversation_is_the_same_bytes():
    call = {"type": "tool_use", "id": "t1", "name": "a", "input": {"z": 1, "a": {"y": 2, "b": 3}}}
    stored = json.loads(canonical(call))
    requests = [
        ModelRequest(MODEL, "s", (user("x"), {"role": "assistant", "content": [c]}), TOOLS)
        for c in (call, stored)
    ]
    first, again = (wire(counted_body(request, "5m")) for request in requests)
    assert first == again


def test_a_principal_longer_than_the_field_is_cut():
    request = ModelRequest(MODEL, "s", (user("x"),), metadata={"run": "r" * 300, "loop": "l"})
    assert len(messages_body(request, "off")["metadata"]["user_id"]) == 256
    assert "metadata" not in messages_body(ModelRequest(MODEL, "s", (user("x"),)), "off")


# what was billed ------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        (
            {
                "input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 1000,
                "cache_creation_input_tokens": 150,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 50},
                "output_tokens_details": {"thinking_tokens": 5},
            },
            Usage(1160, 7, 1000, 100, 50, 5),
        ),
        (
            {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9, "cache_creation": None},
            Usage(10, 1, 0, 9, 0),
        ),
        (
            {
                "input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_1h_input_tokens": 4},
            },
            Usage(10, 1, 0, 5, 4),
        ),
        (
            {
                "input_tokens": 1, "output_tokens": 1,
                "iterations": [
                    {"type": "compaction", "input_tokens": 50, "output_tokens": 5},
                    {"type": "message", "model": MODEL, "input_tokens": 1, "output_tokens": 1,
                     "cache_read_input_tokens": 2},
                ],
            },
            Usage(53, 6, 2),
        ),
    ],
)  # fmt: skip
def test_usage_is_counted_inclusively(told: Json, expected: Usage):
    assert usage_of(told, MODEL) == expected


@pytest.mark.parametrize(
    "told",
    [
        None, [], {}, {"input_tokens": 1}, {"input_tokens": True, "output_tokens": 1},
        {"input_tokens": 1.5, "output_tokens": 1}, {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": "1", "output_tokens": 1}, {"input_tokens": 10**30, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": -5},
        {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_search_requests": 1}},
        {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"web_fetch_requests": 1}},
        {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {"code_execution_requests": 1}},
        {"input_tokens": 1, "output_tokens": 1, "service_tier": "batch"},
        {"input_tokens": 1, "output_tokens": 1, "service_tier": "priority"},
        {"input_tokens": 1, "output_tokens": 1, "speed": "fast"},
        {"input_tokens": 1, "output_tokens": 1, "inference_geo": "us"},
        {"input_tokens": 1, "output_tokens": 1, "service_tier": 7},
        {"input_tokens": 1, "output_tokens": 1,
         "iterations": [{"model": "claude-opus-5-5", "input_tokens": 1, "output_tokens": 1}]},
    ],
)  # fmt: skip
def test_usage_that_cannot_be_priced_is_not_believed(told: object):
    with pytest.raises(Untrustworthy):
        usage_of(told, MODEL)


# what was said --------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"stop_reason": None}, {"stop_reason": ""}, {"content": None}, {"content": ["x"]},
        {"content": [{}]}, {"model": None}, {"id": 7}, {"role": "user"}, {"type": "error"},
        {"content": [{"type": "text", "text": "\ud800"}]},
        {"content": [{"type": "x", "y": float("nan")}]},
        {"stop_reason": "tool_use", "content": [{**CALL, "input": None}]},
        {"stop_reason": "tool_use", "content": [{**CALL, "input": "{}"}]},
        {"stop_reason": "tool_use", "content": [{**CALL, "name": None}]},
        {"stop_reason": "tool_use", "content": [CALL, CALL]},
    ],
)  # fmt: skip
def test_an_answer_that_is_not_whole_is_not_believed(change: Json):
    with pytest.raises(Untrustworthy):
        reply_of({**MESSAGE, **change}, None)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*MESSAGE]), VALUES), VALUES)
def test_whatever_comes_back_is_a_sound_reply_or_not_believed(change: Json, whole: object):
    for message in (
        whole,
        {**MESSAGE, **change},
        {**MESSAGE, "usage": {**MESSAGE["usage"], **change}},
    ):
        with suppress(Untrustworthy):
            reply = reply_of(message, None)
            assert cost(reply.usage, MODEL, 1_795_000_000_000) is not None
            assert Reply.from_json(json.loads(canonical(reply.as_json()))) == reply
