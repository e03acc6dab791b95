"""Do the documents speak of what is there?"""

import importlib
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from cli.main import COMMANDS, cli
from tests.house.pages import DECISIONS, PAGES, ROOT, TOLD, blocks, name_of, prose, quoted, typed

each_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in done.stdout.split("\0") if name]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command 'loops {' '.join(words)}'"
        command, words = found, words[1:]
    return command, words


@each_page
def test_every_command_a_reader_is_told_to_type_is_there(page: Path):
    for words in typed(page, "loops"):
        command, rest = command_of(words)
        # Parsing alone: it knows options and their values, and calls nothing.
        with click.Context(command, info_name=command.name) as context:
            _, left, _ = command.make_parser(context).parse_args(list(rest))
        wanted = [p for p in command.params if isinstance(p, click.Argument) and p.required]
        assert not left, f"loops {' '.join(words)}: {left} is too much"
        assert len(wanted) <= len([w for w in rest if not w.startswith("-")]), words


@each_page
def test_every_command_that_is_mentioned_is_there(page: Path):
    for words in quoted(page, "loops"):
        command, rest = command_of(words)
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert {w.partition("=")[0] for w in rest if w.startswith("--")} <= known, words


def test_every_command_there_is_stands_in_the_documents():
    named = {
        words[0] for page in PAGES for words in (*typed(page, "loops"), *quoted(page, "loops"))
    }
    assert set(COMMANDS) <= named


@each_page
def test_every_target_of_make_is_there(page: Path):
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    calls = [w for w in (*typed(page, "make"), *quoted(page, "make"))]
    assert {c[0] for c in calls} <= targets


def prefect_calls() -> list[list[str]]:
    """What a reader types of Prefect, each once."""
    return [list(c) for c in sorted({tuple(w) for p in TOLD for w in typed(p, "prefect")})]


def test_no_worker_is_started_with_a_limit_of_its_own():
    """Source: docs/decisions/0006-pool-limit-not-worker-limit.md"""
    calls = prefect_calls()
    assert ["work-pool", "set-concurrency-limit", "loops", "8"] in calls
    assert ["worker", "start", "--pool", "loops", "--type", "looprail"] in calls
    assert not any("--limit" in call for call in calls)


@pytest.mark.slow
@pytest.mark.parametrize("call", prefect_calls(), ids=" ".join)
def test_prefect_can_do_what_it_is_told(call: list[str], tmp_path: Path):
    words = [w for w in call if not w.startswith("-")]
    asked = [*words[: 1 if words[0] == "deploy" else 2], "--help"]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "prefect"), *asked],
        env={"COLUMNS": "200", "HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set(w for w in call if w.startswith("--")) <= set(re.findall(r"--[\w-]+", done.stdout))


@each_page
def test_every_link_leads_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if not target.startswith(("https://", "http://")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@each_page
def test_every_file_that_is_named_is_there(page: Path):
    """Code spans that look like a file or folder of this repository; what `loops new` will write is not there yet."""
    tops = {p.name for p in ROOT.iterdir()}
    new = {words[1] for words in typed(page, "loops") if words[0] == "new"}
    for span in re.findall(r"`([\w./-]+)`", prose(page)):
        ours = "/" in span and span.partition("/")[0] in tops
        path = span.endswith("/") or Path(span).suffix in (".py", ".md", ".yaml")
        if ours and path and Path(span).stem not in new:
            assert (ROOT / span).exists(), span


def test_every_promise_names_a_test_that_is_there():
    rows = re.findall(r"^\| \*\*(\w+)\.\*\*.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {"Durable", "Keyless", "Bounded", "Gated", "Accounted", "Known"} <= set(rows)
    for line in (ROOT / "README.md").read_text().splitlines():
        if not line.startswith("| **"):
            continue
        proofs = re.findall(r"\[([^\]]+)\]\((tests/[^)]+)\)", line)
        assert proofs, f"a promise without a proof: {line[:60]}"
        for sentence, file in proofs:
            name = "test_" + re.sub(r"\W+", "_", sentence)
            assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"


def test_what_is_said_of_failures_names_tests_that_are_there():
    page = ROOT / "docs" / "operations.md"
    proofs = re.findall(r"\[([^\]]+)\]\(\.\./(tests/[^)]+)\)", page.read_text())
    assert len(proofs) > 10
    for sentence, file in proofs:
        name = "test_" + re.sub(r"\W+", "_", sentence)
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file} has no {name}"
    rows = [r for r in page.read_text().splitlines() if r.startswith("| ")]
    failures = [r for r in rows if r.count("|") > 4 and not r.startswith("| what happens")]
    assert len(failures) > 5
    assert [r[:60] for r in failures if "](../tests/" not in r] == []


def test_decisions_are_numbered_and_of_one_form():
    numbers = [int(p.name[:4]) for p in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    for number, page in zip(numbers, DECISIONS, strict=True):
        text = page.read_text()
        assert text.startswith(f"# {number}. "), page.name
        parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
        assert parts == ["Context", "Choice", "Evidence", "Consequence"], page.name


def test_a_decision_that_is_referred_to_is_there():
    known = {f"{int(p.name[:4])}": f"docs/decisions/{p.name}" for p in DECISIONS}
    for name in tracked():
        if name.endswith((".py", ".md", ".sh", ".toml")):
            text = (ROOT / name).read_text()
            for found in re.findall(r"docs/decisions/[\w-]+\.md", text):
                assert found in known.values(), f"{name}: {found}"
            for number, target in re.findall(r"\[decision (\d+)\]\(([^)]+)\)", text):
                assert known[number].endswith(target), f"{name}: decision {number} is not {target}"


def words_of_the_glossary() -> list[tuple[str, str]]:
    rows = re.findall(
        r"^\| ([^|]+) \|[^|]+\|[^|]*\| `([\w.]+)` \|$",
        (ROOT / "docs" / "glossary.md").read_text(),
        re.MULTILINE,
    )
    return [(word.strip(), code) for word, code in rows]


def test_the_glossary_has_one_entry_for_each_word():
    words = [word for word, _ in words_of_the_glossary()]
    lines = re.findall(
        r"^\| (?!word|---)", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE
    )
    assert len(words) == len(set(words)) == len(lines)


@pytest.mark.parametrize(("word", "code"), words_of_the_glossary())
def test_a_word_of_the_glossary_is_what_the_code_calls_it(word: str, code: str):
    parts = code.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        break
    else:
        raise AssertionError(f"{word}: there is no module in {code}")
    for part in parts[cut:]:
        found = member(found, part)


def member(owner: object, name: str) -> object:
    """An attribute, or a field of a value class, which is no attribute of the class."""
    if isinstance(owner, type) and issubclass(owner, BaseModel) and name in owner.model_fields:
        return owner.model_fields[name]
    if isinstance(owner, type) and is_dataclass(owner):
        for field in fields(owner):
            if field.name == name:
                return field
    return getattr(owner, name)


def test_the_query_in_the_readme_is_the_documented_one():
    (told,) = [b for b in blocks(ROOT / "README.md", "sh") if "duckdb" in b]
    assert told in blocks(ROOT / "docs" / "analytics.md", "sh")


def test_the_entrance_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
    assert len((ROOT / "AGENTS.md").read_text().splitlines()) <= 80
    assert (ROOT / "CLAUDE.md").readlink() == Path("AGENTS.md")


def test_nothing_names_a_machine_or_an_index():
    """No path of the machine this was written on, no registry host, no tool beside the checkout."""
    # Spelled apart, so that this file does not find itself.
    never = re.compile(
        "|".join(
            re.escape(left + right)
            for left, right in (
                ("/wo", "rk/"), ("/tmp/", "setup"), ("pypi", ".org"), ("pythonhosted", ".org"),
                ("npmjs", ".org"), ("deb.debian", ".org"), (".libr", "ary/"), (".mirr", "or/"),
            )
        )
    )  # fmt: skip
    found = []
    for name in tracked():
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{name}: {line[:100]}" for line in text.splitlines() if never.search(line)]
    assert found == []
