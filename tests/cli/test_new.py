"""`loops new` writes a loop that `loops check` accepts, explains every field of it, and changes nothing there is."""

import getpass
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from cli.main import cli
from cli.source import load_registry
from tests.cli.filled import ROOT

STARTS = ("goal", "tickets", "published")


def loops(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args])


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "registry", tmp_path / "registry")


@pytest.mark.parametrize("start", STARTS)
def test_without_a_registry_a_whole_valid_one_is_written(tmp_path: Path, start: str):
    root = tmp_path / "registry"
    done = loops(
        "new", "first", "--from", start, "--owner", "noor@northwind.example", "--registry", root
    )
    assert done.exit_code == 0, done.output
    check = loops("check", "--registry", root)
    assert check.output == "1 loop, 0 problems, 0 warnings\n"
    loop = load_registry(root).loop("first")
    assert loop.owner == "noor@northwind.example"
    assert bool(loop.goal) is (start == "goal")
    assert loop.harness.max_tokens_per_run
    assert (root / "loop.schema.json").exists()


@pytest.mark.parametrize("start", STARTS)
def test_what_the_organisation_has_is_named(registry: Path, start: str):
    done = loops("new", "second", "--from", start, "--registry", registry)
    assert done.exit_code == 0, done.output
    loaded = load_registry(registry)
    loop = loaded.loop("second")
    assert loop.model in loaded.organisation.models
    assert loop.team in loaded.organisation.teams
    assert loop.owner == getpass.getuser()
    if start == "goal":
        assert loop.workspace is not None
        assert loop.workspace.repository == "northwind/api"
        checker = loop.agent("checker")
        assert checker is not None
        assert checker.model not in (None, loop.model)
    if start == "tickets":
        # It looks where it can also do something.
        assert loop.find is not None
        assert any(
            not t.labels.read_only
            for a in loaded.touches("second").agents
            for t in a.tools
            if t.labels
        )


@pytest.mark.parametrize("start", STARTS)
def test_every_field_is_explained(registry: Path, start: str):
    loops("new", "third", "--from", start, "--registry", registry)
    text = (registry / "loops" / "third.yaml").read_text()
    said = yaml.safe_load(text)
    for field in said.get("agent", said):
        if field in ("intent", "workspace", "goal", "harness", "subagents", "agent"):
            continue
        lines = [line for line in text.splitlines() if line.strip().startswith(f"{field}:")]
        assert "#" in lines[0], field


def test_nothing_that_exists_is_changed_and_nothing_half_is_written(registry: Path):
    told = registry / "instructions" / "fourth-checker" / "v1.md"
    told.parent.mkdir()
    told.write_text("mine")
    before = {p: p.read_bytes() for p in registry.rglob("*") if p.is_file()}
    done = loops("new", "fourth", "--registry", registry)
    assert done.exit_code == 1
    assert f"'{told}' exists already; nothing was written" in done.output
    assert {p: p.read_bytes() for p in registry.rglob("*") if p.is_file()} == before
    assert loops("new", "night-fix", "--registry", registry).exit_code == 1


def test_what_org_yaml_lacks_is_said_and_ends_with_code_2(tmp_path: Path):
    root = tmp_path / "registry"
    root.mkdir()
    (root / "org.yaml").write_text(
        "name: Small\nmodels:\n  claude-sonnet-4-6: {provider: anthropic}\n"
    )
    done = loops("new", "fifth", "--registry", root)
    assert done.exit_code == 2
    assert "does not have a repository (the loop names 'our/code')" in done.output
    assert "repository 'our/code' is not in org.yaml" in done.output


def test_a_broken_org_yaml_is_not_built_upon(tmp_path: Path):
    root = tmp_path / "registry"
    root.mkdir()
    (root / "org.yaml").write_text("name: [")
    done = loops("new", "sixth", "--registry", root)
    assert getattr(done.exception, "exit_code", None) == 2
    assert not (root / "loops").exists()


@pytest.mark.parametrize(
    "name", ["Night", "night_fix", "../escape", "a" * 41, "", "night-", "x.yaml"]
)
def test_a_name_that_cannot_be_one_is_refused(registry: Path, name: str):
    assert loops("new", name, "--registry", registry).exit_code == 2


def test_the_longest_name_is_still_valid(registry: Path):
    assert loops("new", "a" * 40, "--registry", registry).exit_code == 0


def test_a_real_process_writes_below_the_current_directory(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv.pop(1)); from cli.main import main; main()",
         str(ROOT), "new", "seventh"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "registry" / "loops" / "seventh.yaml").exists()
