"""Does every named crash point stand once in the code, and in the page that describes it; and who is killed in CI?"""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from drivers.crash import POINTS, TRANSACTIONS, Doom
from drivers.store.transactions import Transactions, writing
from tests.house.test_house import PRODUCT, ROOT

CHAOS = ROOT / "tests" / "chaos"


def called(name: str) -> Counter[str]:
    """How often each literal is the last argument of a call of that name in product code."""
    found: Counter[str] = Counter()
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and node.args):
                    continue
                function, last = node.func, node.args[-1]
                named = getattr(function, "attr", getattr(function, "id", ""))
                if named == name and isinstance(last, ast.Constant) and isinstance(last.value, str):
                    found[last.value] += 1
    return found


def test_each_point_stands_once_in_the_code() -> None:
    transactions = called("writing") + called("write") + called("around")
    around = {f"{side}-{name}" for name in TRANSACTIONS for side in ("before", "after")}
    assert {n: transactions[n] for n in TRANSACTIONS} == dict.fromkeys(TRANSACTIONS, 1)
    assert called("point") == dict.fromkeys(set(POINTS) - around, 1)


def test_nothing_is_written_to_the_store_without_a_name() -> None:
    for how in (writing, Transactions.write):
        assert inspect.signature(how).parameters["named"].default is inspect.Parameter.empty
    direct = [
        str(path.relative_to(ROOT))
        for folder in PRODUCT
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("write", "written")
        and getattr(node.value, "attr", "") == "_database"
    ]  # fmt: skip
    assert direct == ["drivers/store/transactions.py"]


def test_each_point_is_described() -> None:
    page = (CHAOS / "README.md").read_text()
    told = set(re.findall(r"`([a-z-]+)`", page))
    assert [p for p in (*POINTS, *TRANSACTIONS) if p not in told and not _around(p)] == []


def _around(point: str) -> bool:
    return point.partition("-")[2] in TRANSACTIONS


def test_at_least_two_hundred_are_killed_and_the_page_says_how_many_of_whom() -> None:
    floors = {
        path.name: int(said[1])
        for path in CHAOS.glob("test_*.py")
        if (said := re.search(r"^FLOOR = (\d+)$", path.read_text(), re.MULTILINE))
    }
    page = (CHAOS / "README.md").read_text()
    rows = re.findall(r"^\| \[`(test_\w+\.py)`\]\(\1\) \|.*\| (\d+) \|$", page, re.MULTILINE)
    assert {name: int(said) for name, said in rows} == floors
    assert sum(floors.values()) >= 200
    assert sum(floors.values()) - floors["test_transactions.py"] >= 100, "in whole stories"
    assert f"At least {sum(floors.values())} " in page


def test_without_the_variable_nobody_listens() -> None:
    """So a point costs a comparison, and a name that is none is no error at a passage."""
    assert _child("from drivers import crash; print(crash._heard, crash.point('x'))") == "None None"


def test_a_doom_strikes_once_at_its_passage(tmp_path: Path) -> None:
    code = "from drivers.crash import point\nfor n in range(4): print(n, flush=True); point('in-commit')"
    mark = tmp_path / "mark"
    doomed = {"LOOPRAIL_CRASH": "in-commit:3", "LOOPRAIL_CRASH_MARK": str(mark)}
    first, second = (_run(code, doomed) for _ in range(2))
    assert (first.returncode, first.stdout.split()) == (-9, ["0", "1", "2"])
    assert (second.returncode, len(second.stdout.split())) == (0, 4)


@pytest.mark.parametrize("told", ["in-commit", "in-commit:x", "nowhere:1", "in-commit:1:sleep"])
def test_a_doom_that_names_no_passage_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match=r"names no passage of a point"):
        Doom(told)


def _child(code: str) -> str:
    return _run(code, {}).stdout.strip()


def _run(code: str, more: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-c", code), cwd=ROOT, env={**os.environ, **more},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
