"""Is the default branch green, and if not, what fails?"""

import asyncio
import io
import json
import os
import signal
import sys
import tarfile
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from demo.forge.endpoint import Arguments, Refused, Tool
from demo.forge.git import Bare
from demo.forge.junit import failing
from demo.forge.state import Row, State
from drivers.mcp.isolation import Isolation, Launch, fenced, plain

_RUN_S = 120.0
_LOG_BYTES = 200_000
_REPORT = "report.xml"


class Ci:
    """Runs of the default branch's own tests, one at a time, and the tools that show them.

    What it runs may have been written by an agent, so it runs isolated like a local MCP server.
    """

    def __init__(
        self, state: State, git: Bare, isolation: Isolation, tests: tuple[str, ...] = ()
    ) -> None:
        """`tests` are the paths it runs; whatever pytest finds by default."""
        self._state, self._git, self._isolation, self._tests = state, git, isolation, tests
        self._lock = asyncio.Lock()

    def tools(self) -> tuple[Tool, ...]:
        """All of them."""
        return (
            Tool(
                "list_failures",
                "The failing tests of the default branch; waits for a run that is under way.",
                {},
                self.failures,
            ),
            Tool(
                "get_log",
                "The whole log of a run.",
                {"run_id": {"type": "integer", "minimum": 1}},
                self.log,
                required=("run_id",),
            ),
        )

    async def newest(self) -> Row:
        """The run of what is on the default branch now, made if there is none."""
        async with self._lock:
            commit = self._git.branch("main")
            if commit is None:
                raise Refused("The repository has no branch 'main'.")
            run = self._state.row("SELECT * FROM runs ORDER BY id DESC LIMIT 1")
            if run is None or run["commit_id"] != commit:
                await self._run(commit)
                run = self._state.row("SELECT * FROM runs ORDER BY id DESC LIMIT 1")
            assert run
            return run

    async def failures(self, given: Arguments) -> list[Row]:
        """What fails now; nothing when the branch is green."""
        run = await self.newest()
        found = json.loads(run["failures"])
        if run["status"] == "broken":
            found = [
                {
                    "test": "ci",
                    "file": "",
                    "message": "The tests could not run.",
                    "log_excerpt": run["log"][-2000:],
                }
            ]
        return [{**one, "run_id": run["id"], "commit": run["commit_id"]} for one in found]

    async def log(self, given: Arguments) -> Row:
        """One run."""
        run = self._state.row("SELECT * FROM runs WHERE id = ?", given["run_id"])
        if run is None:
            raise Refused(f"There is no run {given['run_id']}.")
        return {
            "run_id": run["id"],
            "commit": run["commit_id"],
            "status": run["status"],
            "log": run["log"],
        }

    async def _run(self, commit: str) -> None:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="forge-ci-") as place:
            self._check_out(commit, place)
            code, log = await _output(self._launch(place))
            failures = failing(Path(place) / _REPORT)
        status = {0: "green", 1: "red"}.get(code, "broken")
        self._state.write(
            "INSERT INTO runs(commit_id, status, seconds, log, failures) VALUES (?, ?, ?, ?, ?)",
            commit,
            status,
            round(time.monotonic() - begun, 3),
            log,
            json.dumps(failures),
        )

    def _check_out(self, commit: str, place: str) -> None:
        archive = self._git.output("archive", "--format=tar", commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(place, filter="data")

    def _launch(self, place: str) -> Launch:
        command = (
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
            "-o", "junit_family=xunit1", f"--junitxml={_REPORT}",
            *self._tests,
        )  # fmt: skip
        env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        if self._isolation == "none":
            return plain("ci", command, env=env, home=place, cwd=place)
        return fenced("ci", command, env=env, binds=((place, "rw"),), cwd=place)


async def _output(launch: Launch) -> tuple[int, str]:
    """Exit code and the end of the output; a run that takes too long is ended and counts as broken."""
    process = await asyncio.create_subprocess_exec(
        *launch.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(launch.env),
        cwd=launch.cwd,
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _RUN_S)
    except TimeoutError:
        return 124, f"The tests were ended after {_RUN_S:g} s."
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode or 0, said[-_LOG_BYTES:].decode(errors="replace")
