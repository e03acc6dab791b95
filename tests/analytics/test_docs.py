"""What the page tells a reader to paste runs, and prints what the page says it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.build import models
from analytics.cost import cost_report
from cli.cost import as_table
from tests.analytics.conftest import Told

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "analytics.md").read_text()


SHELLS = {"sh": ["sh", "-c"], "python": [sys.executable, "-c"]}
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
"""Each block with the output shown below it."""


def stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def test_every_block_of_the_page_shows_its_output():
    assert [language for language, _, _ in BLOCKS] == ["sh", "sh", "python"]
    assert len(re.findall(r"```(?:sh|python)\n", PAGE)) == len(BLOCKS)


@pytest.mark.parametrize(("language", "code", "output"), BLOCKS)
def test_a_pasted_block_prints_what_the_page_shows(
    told: Told, language: str, code: str, output: str
):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [*SHELLS[language], code], cwd=told.home, capture_output=True, text=True, timeout=50,
        env={"PATH": path, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert stripped(done.stdout) == stripped(output)


def test_the_command_prints_what_the_page_shows(told: Told):
    shown = re.search(r"```text\n\$ loops cost\n(.*?)```", PAGE, re.DOTALL)
    assert shown
    assert stripped(as_table(cost_report(told.lake, "loop"))) == stripped(shown[1])


def test_the_tables_the_page_names_are_there_with_their_questions():
    named = re.findall(r"^\| `(\w+)` \|.*\| (.*\?) \|$", PAGE, re.MULTILINE)
    assert len(named) == 6
    for name, question in named:
        assert name in models(), name
        if name.startswith(("cost", "cache")):
            assert models()[name].question == question
