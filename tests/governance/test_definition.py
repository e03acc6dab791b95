"""A loop file says exactly what it says, and what it cannot say is refused."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from governance.definition import Loop

LOOP = {"name": "fix", "model": "sonnet", "instructions": "triage.md@v4"}
GOAL = {
    "workspace": {"repository": "northwind/api", "image": "python-3.11"},
    "goal": {"verify": "pytest -q"},
    "subagents": [{"name": "a", "role": "maker"}, {"name": "b", "role": "checker"}],
}


def loop(**fields: object) -> Loop:
    return Loop.model_validate_json(json.dumps({**LOOP, **fields}), strict=True)


def refused(**fields: object) -> str:
    with pytest.raises(ValidationError) as caught:
        loop(**fields)
    return str(caught.value)


def test_a_loop_comes_back_the_same_from_its_json():
    whole = loop(
        **GOAL,
        mcp_servers={"github": ["list_issues"]},
        deliver=["github.merge", {"tool": "github.comment", "arguments": {"number": 3}}],
        harness={"max_cost_usd_per_run": 20.5, "on_no_approver": {"after": "36h"}},
        value={"minutes_saved": {"low": 1, "base": 2, "high": 3}, "hourly_rate_usd": "120"},
    )
    assert Loop.model_validate_json(whole.model_dump_json(), strict=True) == whole
    assert whole.harness.max_cost_usd_per_run == Decimal("20.5")


@pytest.mark.parametrize(
    ("text", "meant"),
    [("90m", timedelta(minutes=90)), ("12h", timedelta(hours=12)), ("3d", timedelta(days=3)), ("2w", timedelta(weeks=2))],
)  # fmt: skip
def test_a_duration_has_one_unit_and_is_spelled_back_in_it(text: str, meant: timedelta):
    found = loop(harness={"on_no_approver": {"after": text}}).harness.on_no_approver
    assert found is not None
    assert found.after == meant
    assert found.model_dump(mode="json")["after"] == text


@pytest.mark.parametrize(
    "text", ["", "d", "0d", "3", "3 d", "-3d", "1.5h", "3y", "²d", "9999999d", 3, True, None]
)
def test_what_is_not_a_duration_is_refused(text: object):
    refused(harness={"on_no_approver": {"after": text}})


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "0 6 * * 1-5 2026", "@daily", "0 6 30 2 *", "R * * * *", "H 6 * * *", "0-9999999999 * * * *", "61 * * * *", "a b c d e"],
)  # fmt: skip
def test_a_schedule_that_is_no_schedule_is_refused(cron: str):
    refused(trigger={"schedule": cron})


def test_a_schedule_on_the_29th_of_february_is_a_schedule():
    assert loop(trigger={"schedule": "0 0 29 2 *"}).trigger.schedule == "0 0 29 2 *"


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "", "UTC\0", "europe/berlin"])
def test_an_unknown_time_zone_is_refused(zone: str):
    refused(trigger={"timezone": zone})


@pytest.mark.parametrize(
    "name", ["", "Fix", "a_b", "-a", "a--b", "a/b", "a.b", "a" * 49, "a\n", "{{x}}"]
)
def test_a_name_that_cannot_be_part_of_a_key_is_refused(name: str):
    refused(name=name)


def test_numbers_are_not_taken_from_truth_values_or_text():
    assert "valid integer" in refused(harness={"max_steps": True})
    assert "valid integer" in refused(harness={"max_steps": "60"})
    assert "valid integer" in refused(harness={"max_steps": 1.5})


@pytest.mark.parametrize("ref", ["main..evil", "-x", "a.lock", "a b", "", "/a", "a/"])
def test_a_ref_that_git_would_read_otherwise_is_refused(ref: str):
    refused(**GOAL | {"workspace": {**GOAL["workspace"], "ref": ref}})


def test_words_for_people_cannot_be_a_template():
    assert "pattern" in refused(owner="{{ prefect.blocks.secret.x }}")
    assert "pattern" in refused(intent="two\nlines")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (GOAL | {"workspace": None}, "needs a workspace"),
        (GOAL | {"subagents": [{"name": "a", "role": "maker"}]}, "role checker"),
        (GOAL | {"subagents": [{"name": "a", "role": "maker"}, {"name": "a", "role": "checker"}]}, "may stand once"),
        (GOAL | {"subagents": [{"name": n, "role": "maker"} for n in "ab"]}, "only one may be the maker"),
        ({"deliver": ["github.merge"]}, "without evidence"),
        ({"subagents": [{"name": "lead"}]}, "is the name of"),
        ({"subagents": [{"name": "verifier"}]}, "is the name of"),
    ],
)  # fmt: skip
def test_a_loop_that_contradicts_itself_is_refused(fields: dict[str, object], why: str):
    assert why in refused(**fields)


def test_every_field_says_what_it_is():
    schema = Loop.model_json_schema()
    parts = {"Loop": schema, **schema["$defs"]}
    silent = [
        f"{name}.{field}"
        for name, part in parts.items()
        for field, told in part.get("properties", {}).items()
        if not told.get("description")
    ]
    assert silent == []
