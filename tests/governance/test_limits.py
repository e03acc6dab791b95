"""Is it getting anywhere, and what does one call take from which budget?"""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.charges import Amounts
from governance.conversation import Reply, ToolCall, ToolResult, Usage
from governance.definition import Harness, Loop
from governance.effects import Place
from governance.limits import (
    item_budgets,
    no_progress,
    own_charges,
    run_budgets,
    stalled,
    stop_of,
    stop_of_summary,
)
from governance.parts import PICO
from governance.records import Budget


def reply(stop: str, *content: dict[str, Any]) -> Reply:
    return Reply(content, stop, Usage(10, 1234), "claude-sonnet-4-6", "msg_1")


def loop(**harness: Any) -> Loop:
    return Loop(name="triage", model="m", instructions="a@v1", harness=Harness(**harness))


@pytest.mark.parametrize("stop", ["end_turn", "stop_sequence", "pause_turn"])
def test_an_answer_that_ended_well_stops_nothing(stop: str) -> None:
    assert stop_of(reply(stop)) is None


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("refusal", "refusal"),
        ("max_tokens", "truncated"),
        ("model_context_window_exceeded", "truncated"),
        ("", "malformed"),
        ("compaction", "malformed"),
        ("tool_use", "malformed"),
    ],
)
def test_every_other_end_is_a_stop_with_its_reason(stop: str, reason: str) -> None:
    found = stop_of(reply(stop))
    assert found is not None
    assert found.reason == reason


def test_a_cut_off_answer_says_after_how_much_and_the_way_out() -> None:
    found = stop_of(reply("max_tokens"))
    assert found is not None
    assert "after 1,234 tokens" in found.detail
    assert "Raise harness.max_output_tokens" in found.detail


def test_calls_are_what_an_answer_that_stopped_for_tools_must_have() -> None:
    assert (
        stop_of(reply("tool_use", {"type": "tool_use", "id": "t", "name": "x", "input": {}}))
        is None
    )


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_summary_that_says_nothing_is_no_ground_to_go_on_from(text: str) -> None:
    call = {"type": "tool_use", "id": "t", "name": "x", "input": {}}
    for empty in (reply("end_turn"), reply("tool_use", {"type": "text", "text": text}, call)):
        found = stop_of_summary(empty)
        assert found is not None
        assert found.reason == "malformed"
    said = {"type": "text", "text": "I was asked"}
    assert stop_of_summary(reply("end_turn", said)) is None
    assert stop_of_summary(reply("tool_use", said, call)) is None
    cut = stop_of_summary(reply("max_tokens", said))
    assert cut is not None
    assert cut.reason == "truncated"


def turn(name: str, argument: int, answer: str) -> tuple[ToolCall, ToolResult]:
    return ToolCall(f"t{argument}{answer}", name, {"a": argument}), ToolResult(answer)


turns = st.lists(
    st.builds(turn, st.sampled_from("ab"), st.integers(0, 1), st.sampled_from("xy")), max_size=12
)


@given(turns, st.integers(2, 5))
def test_only_the_same_call_with_the_same_answer_is_a_stall(history: Any, after: int) -> None:
    tail = [(c.name, c.arguments, r.text) for c, r in history[-after:]]
    same = len(tail) == after and all(t == tail[0] for t in tail)
    assert (stalled(history, after) is not None) == same


@given(turns, st.integers(2, 5))
def test_a_providers_ids_are_no_progress(history: Any, after: int) -> None:
    renamed = [(ToolCall("other", c.name, c.arguments), r) for c, r in history]
    assert stalled(renamed, after) == stalled(history, after)


def proof(tree: str, fingerprint: str = "f", passed: bool = False) -> dict[str, Any]:
    return {"tree": tree, "fingerprint": fingerprint, "passed": passed}


def test_the_same_tree_twice_is_no_progress_however_it_was_judged() -> None:
    assert no_progress([proof("a"), proof("b", "g")], 5) is None
    found = no_progress([proof("a", passed=True), proof("a", "g", passed=True)], 5)
    assert found is not None
    assert found.reason == "stalled"


def test_the_same_failure_again_and_again_is_no_progress() -> None:
    every = [proof("a"), proof("b"), proof("c")]
    assert no_progress(every[:2], 3) is None
    found = no_progress(every, 3)
    assert found is not None
    assert "3 rounds in a row" in found.detail
    assert no_progress([proof("a"), proof("b", "g"), proof("c")], 3) is None
    assert no_progress([proof("a"), proof("b", passed=True), proof("c")], 3) is None


def test_a_run_has_a_budget_for_every_cap_it_states() -> None:
    told = loop(
        max_steps=7,
        max_steps_per_run=20,
        max_tokens_per_run=1000,
        max_cost_usd_per_run=Decimal("0.5"),
    )
    assert run_budgets(told, "r1") == (
        Budget("run:r1:usd", "r1", PICO // 2),
        Budget("run:r1:tokens", "r1", 1000),
        Budget("run:r1:steps", "r1", 20),
        Budget("item:r1:steps", "r1", 7),
    )
    assert run_budgets(loop(), "r1") == (Budget("item:r1:steps", "r1", 60),)
    assert item_budgets(told, "r1") == (Budget("item:{item}:steps", "r1", 7),)


def test_a_model_call_is_charged_to_its_item_and_its_run() -> None:
    charges = own_charges(Place("r1", "i1", 2, "maker", 3, 0), Amounts(usd=5, tokens=70, steps=1))
    assert {c.budget: c.amount for c in charges} == {
        "item:i1:steps": 1,
        "run:r1:steps": 1,
        "run:r1:tokens": 70,
        "run:r1:usd": 5,
    }
    assert {c.window for c in charges} == {"r1"}


def test_every_budget_of_a_loop_is_one_that_calls_are_charged_to() -> None:
    told = loop(max_steps_per_run=20, max_tokens_per_run=1000, max_cost_usd_per_run=Decimal(1))
    caps = {
        b.budget.replace("{item}", "i1")
        for b in (*run_budgets(told, "r1"), *item_budgets(told, "r1"))
    }
    charged = {
        c.budget
        for owner in ("i1", "r1")
        for c in own_charges(Place("r1", owner, 0, "lead", 0, 0), Amounts(usd=1, tokens=1, steps=1))
    }
    assert caps <= charged
