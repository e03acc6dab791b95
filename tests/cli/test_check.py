"""`loops check`, `list`, `show` and `schema` answer people and programs, quickly and with the right exit code."""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from cli.main import COMMANDS, cli
from cli.schema import schema_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "registry", tmp_path / "registry")


def loops(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args])


def loops_process(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *args], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip


def test_our_own_registry_has_no_problem(registry: Path):
    done = loops("check", "--registry", registry)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "3 loops, 0 problems, 2 warnings"


def test_a_problem_ends_with_code_2_and_is_told_as_json_too(registry: Path):
    file = registry / "loops" / "night-fix.yaml"
    file.write_text(file.read_text().replace("max_rounds: 3", "max_rouds: 3"))
    done = loops("check", "--registry", registry)
    assert done.exit_code == 2
    told = "registry/loops/night-fix.yaml:31: goal.max_rouds: is not a field of Goal; did you mean 'max_rounds'?"
    assert told in done.output.splitlines()
    found = json.loads(loops("check", "--registry", registry, "--json").output)
    assert found["problems"] == [
        {
            "file": "registry/loops/night-fix.yaml",
            "line": 31,
            "field": "goal.max_rouds",
            "text": "is not a field of Goal; did you mean 'max_rounds'?",
        }
    ]
    assert found["loops"] == 3


def test_an_edit_outside_the_registry_is_checked_as_if_it_were_made(registry: Path, tmp_path: Path):
    broken = registry / "loops" / "ticket-triage.yaml"
    text = broken.read_text()
    broken.write_text("name: ticket-triage\n")
    edit = tmp_path / "ticket-triage.yaml"
    edit.write_text(text)
    assert loops("check", "--registry", registry, edit).output == "1 loop, 0 problems, 0 warnings\n"
    edit.write_text(text.replace("model: claude-sonnet-4-6", "model: claude-sonnet-4-7"))
    done = loops("check", "--registry", registry, edit)
    assert done.exit_code == 2
    assert done.output.startswith(
        f"{edit}:6: model: model 'claude-sonnet-4-7' is not in org.yaml; did you"
    )


def test_a_registry_that_is_not_there_is_told_without_a_traceback():
    done = loops_process("check", "--registry", "nowhere")
    assert done.returncode == 2
    assert done.stderr == (
        "registry 'nowhere' is not a directory; name one with --registry or LOOPRAIL_REGISTRY\n"
    )


def test_the_registry_may_be_named_by_the_environment(
    registry: Path, monkeypatch: pytest.MonkeyPatch
):
    (registry / "loops" / "night-fix.yaml").unlink()
    monkeypatch.setenv("LOOPRAIL_REGISTRY", str(registry))
    assert [row["name"] for row in json.loads(loops("list", "--json").output)] == [
        "morning-triage-loop",
        "ticket-triage",
    ]


def test_the_list_says_who_owns_each_loop_when_it_fires_and_what_it_writes(registry: Path):
    rows = {
        r["name"]: r for r in json.loads(loops("list", "--registry", registry, "--json").output)
    }
    assert rows["ticket-triage"] == {
        "name": "ticket-triage",
        "owner": "ines@northwind.example",
        "team": "support",
        "schedule": "15 * * * 1-5",
        "timezone": "Europe/Berlin",
        "models": ["claude-sonnet-4-6"],
        "connectors": ["linear"],
        "writes": ["linear.comment_ticket", "linear.label_ticket"],
        "repository": None,
    }
    told = loops("list", "--registry", registry).output.splitlines()
    assert len(told) == 4
    assert "noor@northwind.example" in told[2]


def test_show_answers_what_each_agent_can_touch_and_by_which_rule(registry: Path):
    found = json.loads(loops("show", "night-fix", "--registry", registry, "--json").output)
    tools = {
        (agent["agent"], tool["tool"]): (tool["effect"], tool["rule"])
        for agent in found["reach"]["agents"]
        for tool in agent["tools"]
    }
    assert tools["lead", "ci.get_log"] == ("allow", "granted")
    assert tools["loop", "github.merge_pull_request"] == ("ask", "rule 1 of org.yaml")
    assert ("fix-drafter", "github.merge_pull_request") not in tools
    assert not any(agent == "fix-reviewer" for agent, _ in tools)
    assert found["deployments"] == ["heartbeat/night-fix", "work/night-fix"]
    assert found["digest"].startswith("sha256:")
    assert found["definition"]["harness"]["on_no_approver"]["after"] == "3d"
    told = loops("show", "night-fix", "--registry", registry).output
    assert "max_tokens_per_run    1,500,000" in told
    assert "on_no_approver        reject after 3d" in told
    assert "breaker               paused after 2 runs in vain" in told
    assert "fired by" not in told
    assert "fix-reviewer (checker, claude-opus-4-8) can touch:\n  nothing" in told


def test_show_tells_every_way_a_loop_is_fired(registry: Path):
    file = registry / "loops" / "night-fix.yaml"
    ways = "trigger: {event: northwind.build.failed, webhook: ci, overlap: enqueue, "
    file.write_text(file.read_text().replace("trigger: {", ways).replace(", overlap: skip", ""))
    told = loops("show", "night-fix", "--registry", registry).output
    assert "fired by event    northwind.build.failed" in told
    assert "fired by webhook  ci" in told


def test_a_loop_that_is_not_there_ends_with_code_2():
    done = loops_process("show", "night-fx")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "loop 'night-fx' is not in the registry; did you mean 'night-fix'?\n"


def test_the_committed_schema_is_fresh():
    assert (ROOT / "registry" / "loop.schema.json").read_text() == schema_text(), (
        "run `loops schema`"
    )


def test_the_schema_takes_our_loops_and_refuses_a_typing_error():
    schema = json.loads(schema_text())
    for path in (ROOT / "registry" / "loops").glob("*.yaml"):
        loop = yaml.safe_load(path.read_text())
        jsonschema.validate(loop, schema)
        loop.get("agent", loop)["harness"]["max_step"] = 3
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(loop, schema)


def test_every_word_an_editor_shows_comes_from_the_field_itself():
    parts = json.loads(schema_text())["$defs"]
    told = parts["Harness"]["properties"]["max_steps"]["description"]
    assert told == "Model calls one item may make, over all its agents."
    assert [
        f for p in parts.values() for f, s in p["properties"].items() if not s.get("description")
    ] == []


def test_schema_writes_where_it_is_told(tmp_path: Path):
    assert loops("schema", tmp_path / "x.json").exit_code == 0
    assert (tmp_path / "x.json").read_text() == schema_text()
    done = loops("schema", tmp_path / "nowhere" / "x.json")
    assert done.exit_code == 1
    assert done.output.endswith("x.json': No such file or directory\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_table_says_and_explains_itself(name: str):
    done = loops(name, "--help")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[2].startswith("  "), "says nothing below its usage line"
    if "--json" in done.output:
        assert f"$ loops {name}" in done.output


def test_help_is_there_at_once_and_check_never_pays_for_prefect():
    # Processor time, not the clock: what else the machine does is not our doing.
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = loops_process("--help")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.5
    assert all(name in done.stdout for name in COMMANDS)
    probe = "import sys; from cli.check import check; print([m for m in ('prefect', 'anthropic', 'mcp', 'docker') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
