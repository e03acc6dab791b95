"""What does a verifier's or a checker's answer establish, and what not?"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from governance.definition import Goal
from governance.evidence import (
    FoundItems,
    Verdict,
    base_stop,
    base_verdict,
    fingerprint,
    last_line,
    wire_schema,
)
from governance.ports import CommandResult
from governance.records import Finding

GOAL = Goal(verify="pytest -q")
FOUND = Finding("t::a", "a fails", "it is red", reproduce="t::a")


def ran(code: int, output: str = "FAILED t::a", stopped: str | None = None) -> CommandResult:
    return CommandResult(code, output, 1.0, stopped=stopped)


@pytest.mark.parametrize(
    ("result", "verdict", "word"),
    [
        (ran(1), "failing", "fails as reported (exit code 1)"),
        (ran(0), "passing", "passes on the untouched base"),
        (ran(1, "FAILED t::b"), "passing", "'t::a' is not in it"),
        (ran(1, stopped="timeout"), "broken", "stopped by its timeout limit"),
        (ran(0, stopped="memory"), "broken", "stopped by its memory limit"),
        (
            ran(2, "E  ModuleNotFoundError: No module named 'yaml.x'"),
            "broken",
            "module 'yaml.x' is missing",
        ),
        (ran(1, "/usr/bin/python: No module named pytest"), "broken", "module 'pytest' is missing"),
        (ran(1, "No module named 'yaml'\n1 failed"), "broken", "module 'yaml' is missing"),
        (ran(1, "FAILED t::a - No module named 'yaml'"), "failing", "fails as reported"),
        (ran(5, "no tests ran\n\n"), "broken", "exit code 5: no tests ran"),
        (ran(127, ""), "broken", "(no output)"),
    ],
)
def test_only_a_failure_as_reported_is_worth_a_maker(
    result: CommandResult, verdict: str, word: str
) -> None:
    found, why = base_verdict(result, GOAL, FOUND)
    assert found == verdict
    assert word in why
    stop = base_stop(found, why)
    reasons = {"failing": None, "passing": "not_reproduced", "broken": "environment_broken"}
    assert (stop and stop.reason) == reasons[verdict]
    assert stop is None or why in stop.detail


def test_a_finding_that_names_no_text_is_reproduced_by_any_failure() -> None:
    assert base_verdict(ran(1, "x"), GOAL, Finding("d", "t", "b"))[0] == "failing"


def test_a_verifier_that_cannot_start_is_no_finding_whatever_was_reported() -> None:
    nothing_named = Finding("d", "t", "b")
    assert (
        base_verdict(ran(1, "python3.11: No module named nox"), GOAL, nothing_named)[0] == "broken"
    )
    assert base_verdict(ran(1, "No module named 'ours'"), GOAL, nothing_named)[0] == "failing"


def test_a_loop_may_say_which_exit_codes_mean_a_broken_environment() -> None:
    told = Goal(verify="make", broken_exit_codes=(9,))
    assert base_verdict(ran(2), told, FOUND)[0] == "failing"
    assert base_verdict(ran(9), told, FOUND)[0] == "broken"


@given(st.floats(0, 1000), st.integers(0, 2**48), st.text("abc", min_size=1, max_size=5))
def test_times_addresses_and_temporary_paths_do_not_change_a_failure(
    took: float, address: int, place: str
) -> None:
    told = "FAILED t::a - <X at 0x{:x}> in /tmp/{}/x.py\n1 failed in {:.2f}s"
    assert fingerprint(told.format(address, place, took)) == fingerprint(told.format(1, "b", 0.1))


def test_another_failure_has_another_fingerprint() -> None:
    outputs = (
        "FAILED t::a - assert 1 == 2",
        "FAILED t::a - assert 1 == 3",
        "FAILED t::b - assert 1 == 2",
        "",
    )
    assert len({fingerprint(o) for o in outputs}) == 4


@given(st.text())
def test_the_last_line_is_one_short_line(text: str) -> None:
    line = last_line(text)
    assert 0 < len(line) <= 200
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    ["", "accept", "{}", '{"verdict": "accept"}', '{"verdict": "ACCEPT", "reason": "x"}',
     '{"verdict": "accept", "reason": "x", "more": 1}', '[{"verdict": "accept", "reason": "x"}]',
     '{"verdict": "accept", "verdict": 1, "reason": "x"}'],
)  # fmt: skip
def test_what_is_no_verdict_by_the_schema_is_none(text: str) -> None:
    with pytest.raises(ValidationError):
        Verdict.model_validate_json(text)


def objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, dict):
        own = [schema] if "properties" in schema else []
        return own + [o for v in schema.values() for o in objects(v)]
    return [o for v in schema for o in objects(v)] if isinstance(schema, list) else []


@pytest.mark.parametrize("model", [Verdict, FoundItems])
def test_the_wire_schema_requires_every_field_and_allows_no_other(model: Any) -> None:
    found = objects(wire_schema(model))
    assert found
    for one in found:
        assert one["required"] == list(one["properties"])
        assert one["additionalProperties"] is False


def test_an_answer_by_the_wire_schema_is_one_by_the_model() -> None:
    from jsonschema import Draft202012Validator

    answer = {"findings": [{"dedupe": "d", "title": "t", "brief": "b", "reproduce": None}]}
    Draft202012Validator(wire_schema(FoundItems)).validate(answer)
    assert FoundItems.model_validate_json(json.dumps(answer)).findings[0].reproduce is None
