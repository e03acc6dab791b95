"""What isolates on this machine?"""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path
from typing import Literal

from drivers.sandbox.bubblewrap import BubblewrapSandbox
from drivers.sandbox.docker import DEFAULT_SOCKET, DockerSandbox
from drivers.sandbox.engine import INSTALL, Engine
from drivers.sandbox.setup_env import host_bundle, passed_on
from governance.errors import DriverError, Rejected
from governance.ports import Blobs, Sandbox

_ANSWER_S = 3
_TOOLS = ("bwrap", "nsenter", "unshare", "setsid")


async def open_sandbox(
    kind: Literal["auto", "docker", "bubblewrap"] = "auto",
    *,
    blobs: Blobs,
    state_dir: Path,
    runtime: str | None = None,
    build_network: Literal["bridge", "host", "none"] = "bridge",
) -> Sandbox:
    """Docker if an engine answers within 3 s, else bubblewrap if it works here.

    The engine is DOCKER_HOST's Unix socket, else the usual one. Raises `Rejected` with the install line.
    """
    env, bundle = passed_on(os.environ), host_bundle(os.environ)
    why: list[str] = []
    if kind in ("auto", "docker"):
        try:
            path = await asyncio.to_thread(_answering)
        except DriverError as error:
            why.append(str(error))
        else:
            return DockerSandbox(
                blobs,
                state_dir,
                socket_path=path,
                runtime=runtime,
                build_network=build_network,
                build_env=env,
                ca_bundle=bundle,
            )
    if kind in ("auto", "bubblewrap"):
        problem = await asyncio.to_thread(_bubblewrap_problem)
        if problem is None:
            return BubblewrapSandbox(blobs, state_dir, build_env=env, ca_bundle=bundle)
        why.append(problem)
    raise Rejected("sandbox", f"nothing can isolate here: {'; '.join(why)}. {INSTALL}")


def _answering() -> str:
    """The socket of an engine that answers. Raises `Unavailable`, `Rejected`."""
    host = os.environ.get("DOCKER_HOST", f"unix://{DEFAULT_SOCKET}")
    if not host.startswith("unix://"):
        raise Rejected(f"docker engine '{host}'", "only engines behind a Unix socket are supported")
    path = host.removeprefix("unix://")
    engine = Engine(path, timeout_s=_ANSWER_S)
    try:
        with engine.speaking(f"docker engine '{path}'") as client:
            client.ping()
    finally:
        engine.close()
    return path


def _bubblewrap_problem() -> str | None:
    """Why bubblewrap does not work here; None when it does."""
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            return f"'{tool}' is not installed"
    trial = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=_ANSWER_S, check=False)
    except subprocess.TimeoutExpired:
        return "bubblewrap did not answer"
    return None if done.returncode == 0 else f"bubblewrap: {done.stderr.strip()}"
