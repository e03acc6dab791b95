"""Does the scripted maker mend a real repository from what its tools tell it, and only from that?"""

import json
from pathlib import Path

import pytest

from demo.model.knowledge import BUILT_IN, Fix
from governance.briefs import maker_brief
from governance.definition import Goal, Loop
from governance.records import Finding
from tests.demo.engineering import REPOSITORY, VERIFY, Answer, Checkout, ask, house, play

BRIEF = (
    "Finding: discounts are off\n\nA test fails and must pass again.\n\n"
    f"The change is verified with this command, from the workspace's root:\n{VERIFY}\n\n"
    "What it prints on the untouched base (end of it):\n2 failed"
)
REQUEST = ask("maker", BRIEF, tools=house(works=True))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "api")


def scripted(*answers: tuple[str, str, bool]) -> Answer:
    """Answers by tool name, the same each time."""
    told = {name: (text, failed) for name, text, failed in answers}
    return lambda name, arguments: told[name]


@pytest.mark.slow
def test_both_bugs_of_the_repository_are_found_from_the_tracebacks_and_mended(checkout: Checkout):
    assert checkout.run(VERIFY)[1], "the repository is red before"
    played = play(REQUEST, checkout)
    assert played.calls[0][:2] == ("workspace__run", {"command": VERIFY})
    edits = [arguments for name, arguments, _ in played.calls if name == "workspace__edit"]
    assert {(e["path"], e["old"], e["new"]) for e in edits} == {
        ("northwind/pricing.py", BUILT_IN[0].find, BUILT_IN[0].replace),
        ("northwind/calendar.py", BUILT_IN[1].find, BUILT_IN[1].replace),
    }
    assert checkout.run(VERIFY)[1] is False
    for path in ("northwind/pricing.py", "northwind/calendar.py"):
        assert path in played.said
    for test in (REPOSITORY / "tests").glob("*.py"):
        assert (checkout.place / "tests" / test.name).read_text() == test.read_text()


@pytest.mark.slow
def test_without_the_knowledge_it_says_that_it_does_not_know(checkout: Checkout):
    played = play(REQUEST, checkout, knowledge=())
    assert "workspace__edit" not in played.names
    assert "I do not know why" in played.said
    assert "northwind/pricing.py" in played.said


def test_the_command_is_the_one_the_house_puts_into_the_brief():
    goal = Goal(verify="make check-all", protect=("tests/**",))
    loop = Loop.model_construct(goal=goal)
    brief = maker_brief(loop, Finding("d", "t", "Run `pytest -q other`"), "1 failed", None)
    played = play(
        ask("maker", brief, tools=house(works=True)),
        lambda *_: ("3 passed\n(exit code 0, 1.0 s)", False),
    )
    assert played.calls[0][1] == {"command": "make check-all"}
    assert "I changed nothing" in played.said


def test_another_tool_result_makes_another_conversation():
    failing = "tests/test_a.py:3: AssertionError\nFAILED tests/test_a.py::test_it\n1 failed\n(exit code 1, 1.0 s)"
    knowledge = (Fix("wrong = 1", "wrong = 2"),)
    seen = {
        source: play(
            REQUEST,
            scripted(
                ("workspace__run", failing, True),
                ("workspace__read", f"from pkg.{source} import it\nwrong = {n}\n", False),
                ("workspace__edit", "edited", False),
            ),
            knowledge=knowledge,
        )
        for source, n in (("one", 1), ("two", 3))
    }
    assert "workspace__edit" in seen["one"].names
    assert "workspace__edit" not in seen["two"].names
    assert {"path": "pkg/two.py"} in [arguments for _, arguments, _ in seen["two"].calls]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Refused (budget): no money left", "I could not run"),
        (
            "E   ImportError\nERROR tests/test_a.py\n1 error\n(exit code 2, 1.0 s)",
            "I do not know why",
        ),
    ],
)
def test_a_refused_command_and_a_broken_environment_are_reported(text: str, expected: str):
    played = play(
        REQUEST, scripted(("workspace__run", text, True), ("workspace__read", "no such file", True))
    )
    assert expected in played.said


def test_tools_that_spell_their_arguments_otherwise_are_used_all_the_same():
    text = {"type": "string"}
    tools = json.loads(
        json.dumps(house(works=True)).replace('"command"', '"cmd"').replace('"path"', '"file_path"')
    )
    assert tools[1]["input_schema"]["properties"] == {"file_path": text}
    failing = "tests/test_a.py:3: AssertionError\n1 failed\n(exit code 1, 1.0 s)"
    played = play(
        ask("maker", BRIEF, tools=tools),
        scripted(
            ("workspace__run", failing, True), ("workspace__read", BUILT_IN[0].find, False),
            ("workspace__edit", "edited", False),
        ),
    )  # fmt: skip
    assert played.calls[0][1] == {"cmd": VERIFY}
    assert {"file_path": "tests/test_a.py"} in [arguments for _, arguments, _ in played.calls]


# whom nobody should trust -----------------------------------------------------


@pytest.mark.slow
def test_the_wrong_fixer_bends_the_tests_and_leaves_the_source(checkout: Checkout):
    played = play(REQUEST, checkout, persona="wrong-fix")
    edited = {arguments["path"] for name, arguments, _ in played.calls if name == "workspace__edit"}
    assert edited
    assert all(path.startswith("tests/") for path in edited)
    assert checkout.run(VERIFY)[1] is False, "it is green, and nothing is mended"
    for source in (REPOSITORY / "northwind").glob("*.py"):
        assert (checkout.place / "northwind" / source.name).read_text() == source.read_text()


def test_the_poisoner_leaves_every_trap_it_knows(tmp_path: Path):
    played = play(REQUEST, lambda *_: ("(exit code 0, 0.1 s)", False), persona="poisoner")
    commands = "\n".join(str(arguments["command"]) for _, arguments, _ in played.calls)
    for trap in (
        "site-packages",
        "sitecustomize.py",
        "conftest.py",
        "python pytest",
        "nohup",
        "hooks",
    ):
        assert trap.replace("site-packages", "getsitepackages") in commands
    assert "workspace__edit" not in played.names
    assert "99 passed" in played.said
