"""What does a process do that was forked for one flow run? What `python -m prefect.engine` does, all imported already."""

import atexit
import os
import runpy
import sys
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager

WARM = (
    "prefect.cli", "prefect.engine", "prefect.flow_engine", "prefect.workers.process", "anthropic", "httpx2",
    "mcp.client.streamable_http", "mcp.client.session", "sqlalchemy.dialects.sqlite", "jsonschema", "docker",
    "genai_prices", "croniter", "yaml",
)  # fmt: skip
"""What the fork server imports once: other people's packages that a run imports in any case, and none of ours."""


def run(environment: Mapping[str, str], directory: str, *, name: str, shown: bool) -> None:
    """Run the flow run that the environment names, in that directory. Ends the process as Prefect's engine does."""
    _be(name)
    if not shown:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.path.insert(0, directory)
    sys.argv = ["prefect.engine"]
    # Imported with the rest; as a program it is to begin anew.
    sys.modules.pop("prefect.engine", None)
    try:
        with _settings():
            runpy.run_module("prefect.engine", run_name="__main__")
    finally:
        _leave()


def _leave() -> None:
    """What an interpreter does at its end, and a forked process leaves out, in its order.

    Prefect sends its last logs and events in the first of these. A request that is cut off there costs everybody:
    Prefect's server (3.8.8, SQLite) keeps its transaction open, and no one else can write for a minute.
    """
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]


def _settings() -> AbstractContextManager[object]:
    """Prefect's settings as this environment has them; those read by the fork server are the worker's."""
    from prefect.context import SettingsContext, get_settings_context
    from prefect.settings import Settings

    return SettingsContext(profile=get_settings_context().profile, settings=Settings())


def _be(name: str) -> None:
    """Show in `ps` which flow run this is; Linux cuts it after fifteen characters, others have no such file."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
    except OSError:
        return
