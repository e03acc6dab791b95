"""A flow that tells what it finds: deployed by a path, loaded by whatever process the worker gives it."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.settings import get_current_settings

OURS = (
    "governance",
    "drivers",
    "blocks",
    "tasks",
    "flows",
    "analytics",
    "gateway",
    "cli",
    "looprail",
)


@flow(persist_result=False)
def probe(said: str, act: str = "") -> None:
    """Write down where it is and what is there; then do what was asked."""
    found = {
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "files": sorted(os.listdir()),
        "path": sys.path,
        "arguments": sys.argv,
        "ours": [m for m in sys.modules if m.partition(".")[0] in OURS],
        "anthropic": "anthropic" in sys.modules,
        "settings": get_current_settings().to_environment_variables(exclude_unset=True),
        "name": Path("/proc/self/comm").read_text().strip(),
        "pid": os.getpid(),
        "group": os.getpgrp(),
    }
    Path(said).write_text(json.dumps(found))
    get_run_logger().info("a word from the run")
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "raise":
        raise ValueError("wrong")
    if act == "sleep":
        time.sleep(300)
