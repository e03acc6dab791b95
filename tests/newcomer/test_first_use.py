"""A newcomer with a repository and an MCP server of their own: connect, new, check, render, deploy from Git, run."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from demo.model.process import running
from demo.processes import Process, program
from drivers.store import store_at
from tests.cli.filled import ROOT
from tests.cli.prefect_server import Server, serving

pytestmark = [pytest.mark.prefect, pytest.mark.bwrap, pytest.mark.timeout(500)]
KEY = "sk-newcomer-4711-only-here"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("newcomer")) as started:
        yield started


def git(*words: str, at: Path) -> str:
    who = ("-c", "user.name=Newcomer", "-c", "user.email=new@example.org")
    done = subprocess.run(("git", *who, *words), cwd=at, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def own_repository(place: Path) -> Path:
    """Three commits that have nothing to do with the demo."""
    place.mkdir()
    git("init", "-q", "-b", "trunk", at=place)
    for n in range(3):
        (place / f"poem-{n}.txt").write_text("a line\n" * (n + 1))
        git("add", "-A", at=place)
        git("commit", "-q", "-m", f"verse {n}", at=place)
    return place


async def test_from_nothing_to_a_loop_deployed_from_git_and_run(
    server: Server, tmp_path: Path
) -> None:
    poems = own_repository(tmp_path / "poems")
    ours = tmp_path / "ours"
    git("clone", "-q", str(ROOT), str(ours), at=tmp_path)
    registry, store_url = ours / "registry", f"sqlite:///{tmp_path / 'store.db'}"
    git("rm", "-rq", "registry", "prefect.yaml", at=ours)

    def loops(*words: object, codes: tuple[int, ...] = (0,), **more: str) -> str:
        env = {**server.whole_environment, "LOOPRAIL_REGISTRY": str(registry), **more}
        done = run_program("loops", *map(str, words), env=env)
        assert done.returncode in codes, done.stdout + done.stderr
        return done.stdout

    with running("--key", KEY, "--brain", "tests.newcomer.brain:told") as model:
        loops("connect", "store", "--url", store_url, "--blobs", tmp_path / "blobs")
        loops("connect", "model", "anthropic", "--base-url", model, "--key-env", "K", "--model",
              "claude-sonnet-4-6", K=KEY)  # fmt: skip
        listed = loops("connect", "mcp", "git", "--bind", poems, "--", program("mcp-server-git"))
        assert "git_log" in listed
        loops("connect", "repository", "poems", "--url", poems.as_uri())

        loops("new", "commits", "--from", "tickets", codes=(0, 2))
        adapt(registry, poems)
        assert "0 problems" in loops("check")

        git("add", "-A", at=ours)
        git("commit", "-q", "-m", "our loops", at=ours)
        commit = git("rev-parse", "HEAD", at=ours)
        rendered = ours / "prefect.yaml"
        loops("render", "--output", rendered, "--git", ours.as_uri(), "--commit", commit)
        for words in (
            ("work-pool", "create", "loops", "--type", "looprail"),
            ("--no-prompt", "deploy", "--all", "--prefect-file", str(rendered)),
        ):
            done = run_program("prefect", *words, env=server.whole_environment)
            assert done.returncode == 0, done.stdout + done.stderr
        empty = tmp_path / "empty"
        empty.mkdir()
        worker = start_worker(server, empty, tmp_path)
        try:
            shown = json.loads(last_json(loops("run", "commits", "--follow", "--json")))
        finally:
            worker.stop()
    store = store_at(store_url, str(tmp_path / "blobs"))
    items = await store.items(loop="commits")
    assert {i.status for i in items} == {"done"}, (shown, worker.tail())
    assert sorted(i.outcome["claims"].partition(" ")[2] for i in items if i.outcome) == [
        "adds 1 lines.",
        "adds 2 lines.",
        "adds 3 lines.",
    ]
    assert list(empty.iterdir()) == []
    store.disconnect()


def adapt(registry: Path, poems: Path) -> None:
    """What the newcomer writes into the files they were given."""
    org = yaml.safe_load((registry / "org.yaml").read_text())
    org["connectors"] = {
        "git": {"server": "git", "tools": {t: {"read_only": True} for t in ("git_log", "git_show")}}
    }
    org["repositories"] = {"our/poems": {"repository": "poems"}}
    (registry / "org.yaml").write_text(yaml.safe_dump(org))
    file = registry / "loops" / "commits.yaml"
    loop = yaml.safe_load(file.read_text())
    loop["mcp_servers"] = {"git": ["git_log", "git_show"]}
    loop["find"] = {
        "tool": "git.git_log",
        "arguments": {"repo_path": str(poems), "max_count": 10},
        "each": "commit",
    }
    loop["harness"] = {"max_steps": 6, "max_cost_usd_per_run": 2}
    file.write_text(yaml.safe_dump(loop))
    (registry / "instructions" / "commits" / "v1.md").write_text(
        f"Look at each commit of the repository at {poems} and say how many lines it adds.\n"
    )


def run_program(name: str, *words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (program(name), *words), env=env, cwd=ROOT, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip


def start_worker(server: Server, empty: Path, home: Path) -> Process:
    """A worker in an empty directory that knows nothing of any registry."""
    env = {k: v for k, v in server.whole_environment.items() if k != "LOOPRAIL_REGISTRY"}
    env |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "LOOPRAIL_HOME": str(home / "home")}
    command = (program("prefect"), "worker", "start", "--pool", "loops", "--type", "looprail")
    return Process("worker", command, log=home / "worker.log", env=env, cwd=empty)


def last_json(output: str) -> str:
    return output[output.index("{") :]
