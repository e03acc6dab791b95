"""How does a Docker engine isolate an agent?

One container per box: no network, read-only root, no capabilities, no new privileges, the engine's seccomp
profile, limits on memory, processes, CPU and file size, and a tmpfs volume as the only lasting place.
"""

import asyncio
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from drivers.sandbox import container, docker_image
from drivers.sandbox.box import CellBox, uninterrupted
from drivers.sandbox.docker_cell import DockerCell
from drivers.sandbox.engine import Engine
from governance.ports import Blobs, Box, BoxSpec, Manifest

T = TypeVar("T")

DEFAULT_SOCKET = "/var/run/docker.sock"
_MANY_BOXES = 64


class DockerSandbox:
    """`Sandbox` on the Docker engine behind a Unix socket of this machine."""

    def __init__(
        self,
        blobs: Blobs,
        state_dir: Path,
        *,
        socket_path: str = DEFAULT_SOCKET,
        runtime: str | None = None,
        build_network: Literal["bridge", "host", "none"] = "bridge",
        build_env: Mapping[str, str] | None = None,
        ca_bundle: Path | None = None,
    ) -> None:
        """`runtime` e.g. `runsc`; `build_env` and `ca_bundle` are seen by `prepare` only, never by a box."""
        self._blobs = blobs
        self._engine = Engine(socket_path)
        self._runtime = runtime
        self._builder = docker_image.Builder(
            self._engine, state_dir, build_network, dict(build_env or {}), ca_bundle
        )
        self._threads = ThreadPoolExecutor(_MANY_BOXES, thread_name_prefix="docker")

    async def prepare(self, image: str, setup: str, seed: Manifest, *, timeout_s: float) -> str:
        """Image with `setup` run as root over the seed files in /workspace, made once per digest.

        The network is reachable only here. The workspace itself is not in the image.
        Raises `Rejected` with the last 40 lines when the setup fails or the image is not here.
        """
        return await self._builder.prepare(
            self._threads, self._blobs, image, setup, seed, timeout_s=timeout_s
        )

    async def open(self, spec: BoxSpec) -> Box:
        """A fresh, empty, locked-down box. Raises `Rejected`, `Unavailable`."""
        name = f"looprail-{uuid.uuid4().hex[:16]}"
        cell = DockerCell(self._engine, name)
        try:
            await uninterrupted(
                self._threads,
                lambda: container.create(self._engine, name, spec, self._runtime),
                threading.Event(),
            )
        except BaseException:
            await self._thread(cell.remove)
            raise
        return CellBox(cell, self._blobs, self._threads, spec.max_mb)

    async def sweep(self, now: int) -> tuple[str, ...]:
        """Remove every box of ours whose lease ended before `now` (Unix seconds); their names."""
        return await self._thread(
            lambda: self._remove({}, lambda labels: container.lease(labels) < now)
        )

    async def end(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Remove every box that carries all these labels now. Raises `ValueError` when there are none."""
        if not labels:
            raise ValueError("end() without labels would remove every box; name at least one.")
        return await self._thread(lambda: self._remove(labels, lambda _: True))

    def close(self) -> None:
        """Let go of the engine; open boxes stay until closed or swept."""
        self._threads.shutdown(wait=False)
        self._engine.close()

    def _remove(
        self, labels: Mapping[str, str], due: Callable[[Mapping[str, str]], bool]
    ) -> tuple[str, ...]:
        found = container.boxes(self._engine, labels)
        names = tuple(sorted(name for name, known in found.items() if due(known)))
        for name in names:
            container.remove(self._engine, name)
        return names

    async def _thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
