"""Has every reason to stop a maker in the code, a row in the documents, and a story that ends with it?"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from governance.effects import BY_PEOPLE, Stop, StopReason
from tasks.report import ended

ROOT = Path(__file__).parents[2]
REASONS: tuple[str, ...] = get_args(StopReason)


def constants(node: ast.AST) -> set[str]:
    return {
        n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def assigned(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """What a name stands for in a function: what is assigned to it there, alone or in a tuple."""
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            names = {n.id for t in node.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            if name in names:
                yield node.value


def made_in(tree: ast.Module) -> set[str]:
    """The reasons a module gives: what its calls of `Stop` begin with, and its tables of reasons."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.AnnAssign)
            and node.value
            and "StopReason" in ast.dump(node.annotation)
        ):
            found |= constants(node.value)
    for scope in [
        n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]:
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Stop":
                reason = node.args[0]
                found |= constants(reason)
                if isinstance(reason, ast.Name):
                    for value in assigned(scope, reason.id):
                        found |= constants(value)
    return found


def made() -> set[str]:
    folders = ("governance", "drivers", "tasks", "flows")
    files = [p for f in folders for p in (ROOT / f).rglob("*.py") if p.name != "effects.py"]
    return set().union(*(made_in(ast.parse(p.read_text())) for p in files)) & set(REASONS)


def expected(test: ast.AST) -> set[str]:
    """The words a test compares with, hands to `told_everywhere`, or is given from outside."""
    given = getattr(test, "decorator_list", [])
    compared = [n for n in ast.walk(test) if isinstance(n, ast.Compare)]
    handed = [
        n
        for n in ast.walk(test)
        if isinstance(n, ast.Call) and ast.unparse(n.func) == "told_everywhere"
    ]
    return set().union(*(constants(n) for n in (*given, *compared, *handed)))


def told() -> set[str]:
    """What the stories of whole flows expect, in the tests alone: a helper's words are nobody's expectation."""
    tests = [
        node
        for path in (ROOT / "tests" / "flows").glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]
    return set().union(*(expected(test) for test in tests))


def rows() -> set[str]:
    """The reasons in the first column of the table that says what each means."""
    page = (ROOT / "docs" / "governance.md").read_text()
    table = page.split("| reason | means |")[1].split("\n\n")[0]
    firsts = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return {reason for first in firsts for reason in re.findall(r"`(\w+)`", first)}


def test_every_reason_can_be_given() -> None:
    assert sorted(made()) == sorted(REASONS)


@pytest.mark.parametrize(
    ("code", "reasons"),
    [
        ("def f():\n    return Stop('steps', 'x')", {"steps"}),
        ("def f(a):\n    r = 'steps' if a else 'cost'\n    return Stop(r, 'x')", {"steps", "cost"}),
        ("R: dict[str, StopReason] = {'usd': 'cost'}", {"usd", "cost"}),
        ("def f():\n    '''steps'''\n    return g('cost')", set()),
    ],
)
def test_the_look_for_makers_sees_what_is_given_and_only_that(code: str, reasons: set[str]) -> None:
    assert made_in(ast.parse(code)) == reasons


def test_every_reason_stands_in_the_documents_once_and_nothing_else_does() -> None:
    assert sorted(rows()) == sorted(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_a_story_of_a_whole_flow_ends_with_it(reason: str) -> None:
    state = ended_name(reason)
    assert {reason, state} & told(), f"no test in tests/flows expects {reason!r} or {state!r}"


def ended_name(reason: str) -> str:
    state = ended(Stop(reason, "x"))  # type: ignore[arg-type]
    assert state.is_cancelled() == (reason in BY_PEOPLE)
    return str(state.name)
