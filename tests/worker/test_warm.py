"""Is a warm process like a cold one in everything but its imports?"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.prefect_api import PrefectApi
from demo.processes import Process, program
from tests.cli.prefect_server import PASSWORD, Server, serving
from tests.flows.farside import until

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

PER_PROCESS = {
    "PREFECT__FLOW_RUN_ID", "PREFECT__DEPLOYMENT_ID", "PREFECT__DEPLOYMENT_NAME", "PREFECT__CONTROL_PORT",
    "PREFECT__CONTROL_TOKEN", "TRACEPARENT",
}  # fmt: skip
"""What differs from run to run, and between the two deployments."""
COLD = f"{sys.executable} -m prefect.engine"


class Pool:
    """A server, a pool, its worker, and two deployments of the probe: one warm, one by Prefect's own command."""

    def __init__(self, server: Server, home: Path) -> None:
        self.server, self.home = server, home
        self.api = PrefectApi(server.environment["PREFECT_API_URL"], PASSWORD)
        self.code = here = home / "code"
        here.mkdir()
        shutil.copy(Path(__file__).with_name("probe.py"), here)
        told = {
            "name": "probes",
            "pull": [{"prefect.deployments.steps.set_working_directory": {"directory": str(here)}}],
        }
        variables: dict[str, Any] = {
            "env": {"OF_THE_JOB": "told", "PREFECT_LOGGING_LEVEL": "WARNING"}
        }
        told["deployments"] = [
            {"name": name, "entrypoint": "probe.py:probe", "work_pool": {"name": "loops", "job_variables": {**variables, **more}}}
            for name, more in (("warm", {}), ("cold", {"command": COLD}))
        ]  # fmt: skip
        (home / "prefect.yaml").write_text(yaml.safe_dump(told))
        self.prefect("work-pool", "create", "loops", "--type", "looprail")
        self.prefect("--no-prompt", "deploy", "--all", "--prefect-file", str(home / "prefect.yaml"))
        # Too long for the name of a socket: the fork server's must not lie there.
        temporary = home / ("t" * 90)
        temporary.mkdir()
        environment = {
            **server.whole_environment,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "OF_THE_WORKER": "told",
            "TMPDIR": str(temporary),
        }
        command = (program("prefect"), "worker", "start", "--pool", "loops")
        self.worker = Process("worker", command, log=home / "worker.log", env=environment, cwd=home)

    def prefect(self, *words: str) -> None:
        done = subprocess.run(
            (program("prefect"), *words), env=self.server.whole_environment, cwd=self.code,
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    async def run(self, how: str, act: str = "", *, ends: bool = True) -> tuple[str, Path]:
        """Fire it; the flow run, and where it says what it found."""
        said = self.home / f"{how}-{act}.json"
        run = self.api.trigger(f"probe/{how}", {"said": str(said), "act": act})
        await until("what it found", lambda: said.exists() and said.read_text())
        if ends:
            await self.end(run)
        return run, said

    async def end(self, run: str) -> dict[str, Any]:
        """Its final state."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        now = lambda: self.api.flow_run(run)["state"]  # noqa: E731
        return await until("its end", lambda: now() if now()["type"] in final else None)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    home = tmp_path_factory.mktemp("warm")
    with serving(home) as server:
        made = Pool(server, home)
        try:
            yield made
        finally:
            made.worker.stop()
            made.api.close()


async def test_it_finds_what_a_process_of_prefects_own_command_finds(pool: Pool) -> None:
    found: dict[str, Any] = {}
    for how in ("warm", "cold"):
        run, said = await pool.run(how)
        found[how] = json.loads(said.read_text())
        assert (await pool.end(run))["type"] == "COMPLETED"
        assert found[how]["environment"]["PREFECT__FLOW_RUN_ID"] == run
    warm, cold = found["warm"], found["cold"]
    for name in ("directory", "files", "settings", "group"):
        assert warm[name] == cold[name], name
    for process in (warm, cold):
        for name in PER_PROCESS:
            process["environment"].pop(name, None)
    assert warm["environment"] == cold["environment"]
    assert warm["environment"]["OF_THE_JOB"] == warm["environment"]["OF_THE_WORKER"] == "told"
    assert warm["path"][0] == cold["path"][0]


async def test_it_has_everything_imported_but_what_is_ours(pool: Pool) -> None:
    run, said = await pool.run("warm")
    found = json.loads(said.read_text())
    assert (found["anthropic"], found["ours"]) == (True, [])
    assert found["name"] == f"run-{run}"[:15]


async def test_its_words_come_out_at_the_worker(pool: Pool) -> None:
    await pool.run("warm", "raise")
    await until("its words", lambda: "ValueError: wrong" in pool.worker.log.read_text())


@pytest.mark.parametrize("how", ["warm", "cold"])
@pytest.mark.parametrize(
    ("act", "state", "words"),
    [("die", "CRASHED", "status code: -9"), ("raise", "FAILED", "ValueError: wrong")],
)
async def test_how_it_ends_is_told_to_prefect(
    pool: Pool, how: str, act: str, state: str, words: str
) -> None:
    run, _ = await pool.run(how, act)
    ended = await pool.end(run)
    assert (ended["type"], words in ended["message"]) == (state, True), ended


async def test_cancelled_it_is_gone_at_once(pool: Pool) -> None:
    run, said = await pool.run("warm", "sleep", ends=False)
    pid = json.loads(said.read_text())["pid"]
    pool.api.cancel(run)
    assert (await pool.end(run))["type"] == "CANCELLED"
    await until("no process", lambda: not Path(f"/proc/{pid}").exists(), 10)


async def test_many_at_once_are_as_many_processes(pool: Pool) -> None:
    said = [pool.home / f"many-{n}.json" for n in range(6)]
    runs = [pool.api.trigger("probe/warm", {"said": str(s)}) for s in said]
    ended = await asyncio.gather(*(pool.end(r) for r in runs))
    assert {e["type"] for e in ended} == {"COMPLETED"}
    found = [json.loads(s.read_text()) for s in said]
    assert len({f["pid"] for f in found}) == 6
    assert os.getpid() not in {f["pid"] for f in found}
