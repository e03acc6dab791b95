"""How does a flow run get a process without waiting for three seconds of imports?

A fork server beside the worker has imported other people's packages once and forks a process for each run; the run's
own code is loaded there, from where its deployment says. Source: docs/decisions/0026-warm-processes.md
"""

import multiprocessing
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun, State
from prefect.runner._control_channel import ControlChannel
from prefect.runner._flow_run_executor import FlowRunExecutionResult, FlowRunExecutorContext
from prefect.runner._process_manager import ProcessHandle
from prefect.settings import get_current_settings
from prefect.utilities.processutils import sanitize_subprocess_env
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from worker.child import WARM, run

SHORT = 60
"""Bytes of a temporary directory's name that leave room below it for a socket's, which has at most 107."""


def warm_up() -> None:
    """Start the fork server of this process, which ends with it; that it imports takes seconds of its own."""
    multiprocessing.set_forkserver_preload(list(WARM))
    named = tempfile.gettempdir()
    try:
        tempfile.tempdir = named if len(os.fsencode(named)) <= SHORT else "/tmp"
        forkserver.ensure_running()
    finally:
        tempfile.tempdir = named


class WarmStarter:
    """Starts a flow run in a process forked from the fork server."""

    def __init__(
        self, configuration: ProcessJobConfiguration, directory: Path, control: ControlChannel
    ) -> None:
        self._configuration, self._directory, self._control = configuration, directory, control

    async def start(
        self, flow_run: FlowRun, task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Until the process has ended; its handle is told as soon as it has begun."""
        process = multiprocessing.get_context("forkserver").Process(
            target=run,
            args=(self._environment(flow_run), str(self._directory)),
            kwargs={"name": f"run-{flow_run.id}"[:15], "shown": self._configuration.stream_output},
        )
        try:
            await anyio.to_thread.run_sync(process.start)
        except BaseException:
            self._control.unregister(flow_run.id)
            raise
        task_status.started(ProcessHandle(process))  # pyright: ignore[reportArgumentType]
        await _ended(process)

    def _environment(self, flow_run: FlowRun) -> dict[str, str]:
        """What a process of Prefect's own worker would find."""
        return sanitize_subprocess_env(
            {
                **os.environ,
                **self._configuration.env,
                **get_current_settings().to_environment_variables(exclude_unset=True),
                "PREFECT__FLOW_RUN_ID": str(flow_run.id),
                "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
                **self._control_session(flow_run),
            }
        )

    def _control_session(self, flow_run: FlowRun) -> dict[str, str]:
        """How the process hears that it is to be cancelled, before it is killed."""
        try:
            port, token = self._control.register(flow_run.id)
        except RuntimeError:
            # The worker could bind no listener: then it is only killed, as by Prefect's own worker.
            return {}
        return {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}


async def _ended(process: ForkServerProcess) -> None:
    try:
        await anyio.wait_readable(process.sentinel)
    finally:
        # Also when the worker is told to stop: nothing that it started runs on.
        if process.exitcode is None:
            process.terminate()


class NoHooks:
    """Loops have no hooks; to look for some would load a run's code into the worker."""

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State) -> None:
        """None are run."""

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State) -> None:
        """None are run."""


class LooprailWorker(ProcessWorker):
    """Prefect's process worker, with warm processes. A pool that names a command of its own has it run cold."""

    type = "looprail"
    _display_name = "Looprail"
    _description = "Run loops as processes on this machine; they start warm, in tenths of a second."

    async def setup(self) -> None:
        """Also warms up, before the first run comes."""
        warm_up()
        await super().setup()

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Run it to its end. Raises `RuntimeError` when it could not be started."""
        if configuration._command_configured:  # pyright: ignore[reportPrivateUsage]
            return await super().run(flow_run, configuration, task_status)
        told = task_status or anyio.TASK_STATUS_IGNORED
        with _directory(configuration) as directory:
            async with FlowRunExecutorContext() as context:
                starter = WarmStarter(configuration, directory, context.control_channel)
                executor = context.create_executor(
                    flow_run, starter, hook_runner=NoHooks(), propose_submitting=False
                )
                results: list[FlowRunExecutionResult | None] = []

                async def execute(
                    *, task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
                ) -> None:
                    results.append(await executor.submit(task_status=task_status))

                async with anyio.create_task_group() as group:
                    handle = cast(ProcessHandle, await group.start(execute))
                    told.started(cast(int, handle.pid))
        result = results[0]
        if result is None or result.status_code is None:
            raise RuntimeError("Failed to start flow run process.")
        return ProcessWorkerResult(
            status_code=result.status_code, identifier=str(result.handle.pid)
        )


@contextmanager
def _directory(configuration: ProcessJobConfiguration) -> Generator[Path]:
    if configuration.working_dir:
        yield configuration.working_dir
        return
    with tempfile.TemporaryDirectory(suffix="prefect") as made:
        yield Path(made).resolve()
