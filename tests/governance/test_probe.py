"""What is asked about a call whose answer was lost, and what of the answer is the call's?"""

import pytest

from governance.organisation import Probe
from governance.parts import Json
from governance.probe import asked, found
from tests.governance.registry_texts import ORG, examined

CALL: Json = {"head": "looprail/fix/i1", "base": "main", "number": 7, "title": "a {head}"}


def probe(**fields: object) -> Probe:
    return Probe.model_validate({"tool": "github.list_pull_requests", **fields})


def test_the_calls_own_words_stand_in_the_question() -> None:
    wanted = {
        "state": "all", "head": "acme:{head}", "n": "{number}", "in": {"base": ["{base}", 3]},
    }  # fmt: skip
    assert asked(probe(arguments=wanted), CALL) == {
        "state": "all", "head": "acme:looprail/fix/i1", "n": 7, "in": {"base": ["main", 3]},
    }  # fmt: skip


def test_what_the_call_did_not_say_is_not_asked_for() -> None:
    wanted = {"owner": "{owner}", "q": "x {owner}", "in": {"a": "{owner}"}, "state": "open"}
    assert asked(probe(arguments=wanted), CALL) == {"in": {}, "state": "open"}


def test_a_calls_words_are_never_read_as_a_template() -> None:
    assert asked(probe(arguments={"q": "{title}"}), CALL) == {"q": "a {head}"}


PULLS = [
    {"number": 7, "head": {"ref": "looprail/fix/i1"}, "base": "main"},
    {"number": 8, "head": {"ref": "looprail/fix/i2"}, "base": "main"},
    "noise",
]


@pytest.mark.parametrize("answer", [PULLS, {"result": PULLS}, {"items": PULLS}])
def test_the_elements_that_are_the_calls_are_found(answer: object) -> None:
    told = probe(match={"head.ref": "{head}", "base": "{base}"})
    assert found(told, CALL, answer) == (PULLS[0],)
    assert len(found(probe(match={"base": "{base}"}), CALL, answer)) == 2


def test_one_object_is_a_list_of_one() -> None:
    assert found(probe(match={"number": "{number}"}), CALL, {"number": 7, "labels": []}) == (
        {"number": 7, "labels": []},
    )


@pytest.mark.parametrize("answer", [None, "no", [], {}, [{"head": "x"}], [{"head.ref": "y"}]])
def test_where_nothing_fits_nothing_is_found(answer: object) -> None:
    assert found(probe(match={"head.ref": "{head}"}), CALL, answer) == ()


def test_without_a_way_to_tell_nothing_is_taken_for_the_calls() -> None:
    assert found(probe(), CALL, PULLS) == ()
    assert found(probe(match={"id": "{owner}"}), CALL, PULLS) == (), "the call did not say it"


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("github.nothing", "tool 'github.nothing' is not labelled here"),
        ("github.merge_pull_request", "is not labelled read_only; looking must change nothing"),
    ],
)
def test_a_probe_that_cannot_be_asked_or_would_change_something_is_a_problem(
    tool: str, said: str
) -> None:
    old = "      merge_pull_request: {"
    assert ORG.count(old) == 1
    changed = ORG.replace(old, f"{old}probe: {{tool: {tool}}}, ")
    (problem,) = examined(org=changed).problems
    assert problem.field == "connectors.github.tools.merge_pull_request.probe.tool"
    assert said in problem.text
    line = changed[: changed.index(tool)].count("\n") + 1
    assert problem.line == line
