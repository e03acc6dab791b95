"""Is it the same conversation? Equal heads must mean equal words, in equal order, split alike or not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.conversation import (
    EMPTY_HEAD,
    Reply,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    assistant,
    chain,
    tool_results,
    user,
)

messages = st.lists(st.text(max_size=20).map(user), max_size=6).map(tuple)


def reply(*content: dict[str, Any], stop: str = "end_turn") -> Reply:
    return Reply(content, stop, Usage(10, 5), "claude-sonnet-4-6", "msg_1", "req_1")


@given(messages, messages)
def test_heads_are_equal_only_for_equal_messages(one: Any, other: Any) -> None:
    assert (chain(EMPTY_HEAD, one) == chain(EMPTY_HEAD, other)) == (one == other)


@given(messages)
def test_nothing_said_leaves_the_head_as_it_was(said: Any) -> None:
    head = chain(EMPTY_HEAD, said)
    assert chain(head, ()) == head


@given(messages.filter(lambda m: len(m) > 1), st.randoms())
def test_the_order_of_words_matters(said: Any, chance: Any) -> None:
    mixed = list(said)
    chance.shuffle(mixed)
    if tuple(mixed) != said:
        assert chain(EMPTY_HEAD, tuple(mixed)) != chain(EMPTY_HEAD, said)


@given(messages, st.integers(0, 5), st.text(min_size=1, max_size=5))
def test_one_changed_word_changes_every_later_head(said: Any, at: int, more: str) -> None:
    if at >= len(said):
        return
    changed = list(said)
    changed[at] = user(said[at]["content"][0]["text"] + more)
    one, other = EMPTY_HEAD, EMPTY_HEAD
    for n, (a, b) in enumerate(zip(said, changed, strict=True)):
        one, other = chain(one, (a,)), chain(other, (b,))
        assert (one == other) == (n < at)


def test_the_head_ignores_how_a_message_spells_its_keys() -> None:
    mixed = {"content": [{"text": "hello", "type": "text"}], "role": "user"}
    assert chain(EMPTY_HEAD, (mixed,)) == chain(EMPTY_HEAD, (user("hello"),))


def test_a_number_that_json_cannot_say_is_no_part_of_a_conversation() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        chain(EMPTY_HEAD, ({"role": "user", "content": [float("nan")]},))


def test_a_reply_comes_back_from_the_store_as_it_was() -> None:
    said = reply(
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "one"},
        {"type": "hologram", "data": [1, 2]},
        {"type": "text", "text": "two"},
    )
    again = Reply.from_json(json.loads(json.dumps(said.as_json())))
    assert again == said
    assert again.text == "one\ntwo"
    assert chain(EMPTY_HEAD, (assistant(again),)) == chain(EMPTY_HEAD, (assistant(said),))


@pytest.mark.parametrize("stop", ["end_turn", "max_tokens", "refusal", "pause_turn", "tool_us"])
def test_only_an_answer_that_stopped_for_tools_has_calls(stop: str) -> None:
    block = {"type": "tool_use", "id": "t1", "name": "x", "input": {"a": 1}}
    assert reply(block, stop=stop).calls == ()
    assert reply(block, stop="tool_use").calls == (ToolCall("t1", "x", {"a": 1}),)


def test_results_stand_in_the_models_order_and_an_empty_one_says_so() -> None:
    calls = (ToolCall("t2", "b", {}), ToolCall("t1", "a", {}))
    said = tool_results(
        tuple(zip(calls, (ToolResult("", is_error=True), ToolResult("fine")), strict=True))
    )
    assert [b["tool_use_id"] for b in said["content"]] == ["t2", "t1"]
    assert said["content"][0]["content"][0]["text"] == "(no output)"
    assert [b["is_error"] for b in said["content"]] == [True, False]


def test_a_tools_digest_changes_with_every_byte_that_describes_it() -> None:
    plain = ToolSpec("send", "Send it.", {"type": "object"}, read_only=False)
    others = (
        ToolSpec("send2", "Send it.", {"type": "object"}, read_only=False),
        ToolSpec("send", "Send it!", {"type": "object"}, read_only=False),
        ToolSpec("send", "Send it.", {"type": "objects"}, read_only=False),
        ToolSpec("send", "Send it.", {"type": "object"}, read_only=None),
        ToolSpec("send", "Send it.", {"type": "object"}, read_only=False, open_world=False),
    )
    assert len({plain.digest, *(o.digest for o in others)}) == 6


def test_what_a_tool_says_is_read_as_data_where_it_is_some() -> None:
    assert ToolResult("x", structured={"result": [1]}).data == [1]
    assert ToolResult("x", structured={"number": 7}).data == {"number": 7}
    assert ToolResult("[]").data == []
    assert ToolResult("no json").data is None


def test_tokens_count_cached_ones_once() -> None:
    used = Usage(input_tokens=100, output_tokens=7, cache_read_tokens=80, cache_write_5m_tokens=10)
    assert used.total == 107
