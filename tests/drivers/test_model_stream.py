"""Do the pieces of a streamed answer add up to it, and to nothing when one is missing?"""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.model.answer import Untrustworthy, reply_of
from drivers.model.stream import Stream
from governance.conversation import Usage
from governance.parts import Json
from tests.drivers.provider import MESSAGE, VALUES


def read(*events: Json) -> Json:
    stream = Stream()
    for event in events:
        stream.feed(json.dumps(event))
    return stream.message()


def begun(usage: Json | None = None) -> Json:
    message = {**MESSAGE, "content": [], "stop_reason": None, "usage": usage or {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip
    return {"type": "message_start", "message": message}


def block(index: int, start: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": d} for d in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def ended(stop: str = "end_turn", **usage: Any) -> list[Json]:
    counts = {"output_tokens": 4, **usage}
    return [
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": counts},
        {"type": "message_stop"},
    ]


def test_a_stream_adds_up_to_the_message():
    thinking = block(
        0, {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "h"}, {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "s=="},
    )  # fmt: skip
    text = block(
        1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"},
        {"type": "citations_delta", "citation": {"n": 1}}, {"type": "text_delta", "text": "b"},
    )  # fmt: skip
    tool = block(
        2, {"type": "tool_use", "id": "t", "name": "a", "input": {}},
        {"type": "input_json_delta", "partial_json": ""}, {"type": "input_json_delta", "partial_json": '{"x"'},
        {"type": "input_json_delta", "partial_json": ": [1]}"},
    )  # fmt: skip
    odd = block(3, {"type": "hologram", "data": [1]})
    message = read(
        {"type": "new_event"}, begun(), {"type": "ping"}, *thinking, *text, *tool, *odd,
        *ended("tool_use", cache_read_input_tokens=2, input_tokens=None),
    )  # fmt: skip
    reply = reply_of(message, None)
    assert reply.content == (
        {"type": "thinking", "thinking": "hm", "signature": "s=="},
        {"type": "text", "text": "ab", "citations": [{"n": 1}]},
        {"type": "tool_use", "id": "t", "name": "a", "input": {"x": [1]}},
        {"type": "hologram", "data": [1]},
    )
    assert reply.usage == Usage(5, 4, 2)
    assert reply.calls[0].arguments == {"x": [1]}


def test_a_call_cut_off_at_max_tokens_is_an_answer_and_with_tool_use_it_is_none():
    half = block(
        0, {"type": "tool_use", "id": "t", "name": "a", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"path": "tests/'},
    )  # fmt: skip
    cut = reply_of(read(begun(), *half, *ended("max_tokens")), None)
    assert (cut.stop, cut.calls) == ("max_tokens", ())
    with pytest.raises(Untrustworthy):
        reply_of(read(begun(), *half, *ended("tool_use")), None)


@pytest.mark.parametrize(
    "events",
    [
        [], [begun()], [begun(), *ended()[:1]], ended(), [begun(), {"type": "error", "error": {}}],
        [begun(), {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}],
        [begun(), *block(0, {"type": "text", "text": ""}, {"type": "odd_delta"}), *ended()],
        [begun(), *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": 7}), *ended()],
        [begun(), {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}],
    ],
)  # fmt: skip
def test_a_stream_that_is_not_whole_is_not_believed(events: list[Json]):
    with pytest.raises(Untrustworthy):
        reply_of(read(*events), None)


KINDS = st.sampled_from([
    "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop",
    "error", "ping",
])  # fmt: skip


@given(st.lists(st.fixed_dictionaries({"type": KINDS}, optional={
    "message": VALUES, "index": VALUES, "content_block": VALUES, "delta": VALUES, "usage": VALUES,
    "error": VALUES,
}), max_size=6), st.text(max_size=5))  # fmt: skip
def test_no_event_breaks_the_reader(events: list[Json], noise: str):
    stream = Stream()
    with suppress(Untrustworthy):
        for event in [begun(), *events]:
            stream.feed(json.dumps(event))
        reply_of(stream.message(), None)
    with suppress(Untrustworthy):
        Stream().feed(noise)
