"""Does the scripted model find and judge by what the request shows it, and follow the schema?"""

import json

import pytest

from governance.briefs import checker_brief
from governance.evidence import Verdict
from governance.records import Finding
from tests.demo.engineering import (
    always,
    ask,
    find,
    play,
    schema,
)

TEXT = {"type": "string"}
FAILURES = [
    {
        "test": "tests/test_pricing.py::test_rounding", "file": "tests/test_pricing.py",
        "message": "assert 143 == 142", "log_excerpt": "tests/test_pricing.py:17: AssertionError",
        "run_id": 4, "commit": "abc",
    },
    {"test": "tests/test_calendar.py::test_weekend", "message": "assert '07' == '09'"},
]  # fmt: skip
FIX = "-    return subtotal - subtotal * percent // 100\n+    return subtotal - (subtotal * percent + 50) // 100"
DIFF = f"diff --git a/northwind/pricing.py b/northwind/pricing.py\n--- a/northwind/pricing.py\n+++ b/northwind/pricing.py\n@@ -1 +1 @@\n{FIX}"


# finding ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "seen", [FAILURES, {"total": 2, "failures": FAILURES}, "\n".join(map(json.dumps, FAILURES))]
)
def test_every_failure_seen_becomes_a_finding_by_the_schema(seen: object):
    first, second = find(seen).findings
    assert first.dedupe == first.reproduce == "tests/test_pricing.py::test_rounding"
    assert "assert 143 == 142" in first.title
    assert "AssertionError" in first.brief
    assert second.dedupe == "tests/test_calendar.py::test_weekend"


def test_findings_follow_what_was_seen_and_not_a_script():
    assert find([]).findings == ()
    assert find([{"test": "t.py::x", "status": "passed"}]).findings == ()
    assert [f.dedupe for f in find([{"test": "q/z.py::y"}]).findings] == ["q/z.py::y"]
    assert len(find([*FAILURES, *FAILURES]).findings) == 2


def test_what_is_open_already_is_left_out():
    state = f"## Done\n- {FAILURES[1]['test']}\n\n## Open\n- {FAILURES[0]['test']}\n\n## Next\n- nothing"
    assert [f.dedupe for f in find(FAILURES, state).findings] == [FAILURES[1]["test"]]


def test_only_fields_of_the_schema_are_given():
    request = ask("lead", f"Seen:\n{json.dumps(FAILURES)}", output_config={"format": {"schema": {
        "properties": {"findings": {"items": {"properties": {"dedupe": TEXT, "title": TEXT}}}}}}})  # fmt: skip
    assert {frozenset(f) for f in json.loads(play(request, always("")).said)["findings"]} == {
        frozenset({"dedupe", "title"})
    }


# checking ---------------------------------------------------------------------


def judge(
    diff: str, verifier: str, evidence: str = "passed", dropped: str = "", persona: str = "engineer"
) -> Verdict:
    brief = checker_brief(
        Finding("d", "t", "b"), diff=diff, dropped=dropped, verifier=verifier, summary="I did it: 9 passed",
        base="failing (exit code)", verified=f"{evidence} (exit code)",
    )  # fmt: skip
    said = play(ask("checker", brief, **schema(Verdict)), always(""), persona=persona).said
    return Verdict.model_validate_json(said)


def test_a_verified_change_of_the_source_is_accepted():
    verdict = judge(DIFF, "24 passed in 0.3s")
    assert (verdict.verdict, "northwind/pricing.py" in verdict.reason) == ("accept", True)


TESTS_ONLY = DIFF.replace("northwind/pricing.py", "tests/test_pricing.py")


@pytest.mark.parametrize(
    ("diff", "verifier", "evidence", "reason"),
    [
        ("", "24 passed", "passed", "empty"),
        (TESTS_ONLY, "24 passed", "passed", "Only tests"),
        (DIFF, "1 failed, 23 passed", "failed", "verifier"),
        (DIFF, "killed", "failed", "verifier"),
    ],
)
def test_anything_else_is_sent_back_with_the_reason(
    diff: str, verifier: str, evidence: str, reason: str
):
    verdict = judge(diff, verifier, evidence)
    assert verdict.verdict == "revise"
    assert reason in verdict.reason


def test_changes_that_were_dropped_are_no_part_of_the_judgement():
    assert judge("", "24 passed", dropped=DIFF).verdict == "revise"


def test_words_in_the_diff_do_not_stand_for_the_verifier():
    assert judge(DIFF + "\n+# 24 passed", "killed", "failed").verdict == "revise"


def test_who_accepts_all_accepts_all():
    assert judge("", "1 failed", "failed", persona="accept-all-checker").verdict == "accept"
    assert (
        judge("", "1 failed", "failed", persona="maker=poisoner,checker=accept-all").verdict
        == "accept"
    )
