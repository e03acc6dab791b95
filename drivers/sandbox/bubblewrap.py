"""How is an agent isolated where no Docker engine answers?

By bubblewrap, as root or, with user namespaces, as anyone. The contract is Docker's; these are the differences:
* system calls are filtered by our own short deny list (`seccomp.py`), not by the engine's allow list;
* memory, processes and CPU are limited by control groups only as root; else per process and user, which is said
  once on the log, and a command that runs out of memory sees an error rather than `stopped="memory"`;
* an image is a directory that `make image` installed, named by its path; without it nothing runs, because
  the host's own directories may hold what a box must not see;
* a box lives on this machine only as long as it is up, as a container with a tmpfs volume does.
"""

import asyncio
import logging
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Event
from typing import TypeVar

from drivers.locks import held
from drivers.sandbox import setup_env
from drivers.sandbox.box import CellBox, uninterrupted
from drivers.sandbox.bwrap_cell import BubblewrapCell
from drivers.sandbox.bwrap_limits import Group, Limits
from drivers.sandbox.bwrap_volume import Record, Volumes, as_root
from drivers.sandbox.cell import BUILT_BY, charged_mb, prefixed
from governance.errors import Rejected
from governance.ports import Blobs, Box, BoxSpec, Manifest

T = TypeVar("T")

IMAGES = Path("/var/lib/looprail/images")
"""Where `make image` installs."""
_LOG = logging.getLogger("looprail.sandbox")
_MANY_BOXES = 64
_BUILD = BoxSpec(image="", labels={}, lease_until=0, max_mb=2000, memory_mb=3000, pids=1024)


class BubblewrapSandbox:
    """`Sandbox` by bubblewrap, its state below one directory of this machine."""

    def __init__(
        self,
        blobs: Blobs,
        state_dir: Path,
        *,
        images_dir: Path = IMAGES,
        build_env: Mapping[str, str] | None = None,
        ca_bundle: Path | None = None,
    ) -> None:
        """`build_env` and `ca_bundle` are seen by `prepare` only, never by a box."""
        self._blobs, self._images = blobs, images_dir
        self._prepared, self._locks = state_dir / "prepared", state_dir / "locks"
        self._env, self._ca_bundle = setup_env.completed(build_env or {}, ca_bundle), ca_bundle
        self._state, self._volumes = str(state_dir), Volumes(state_dir)
        self._threads = ThreadPoolExecutor(_MANY_BOXES, thread_name_prefix="bubblewrap")

    async def prepare(self, image: str, setup: str, seed: Manifest, *, timeout_s: float) -> str:
        """Directory with `setup` run as root over the seed files in /workspace, made once per digest.

        The network is reachable only here. The workspace itself is not in the directory.
        Raises `Rejected` with the last 40 lines when the setup fails or the image is not here.
        """
        base = self._images / image.replace("/", "-").replace(":", "-")
        if not (base / "usr").is_dir():
            raise Rejected(f"image '{image}'", f"is not installed at '{base}'. Run 'make image'.")
        if not setup.strip():
            return str(base)
        known = base.stat()
        name = setup_env.prepared_name(f"{base} {known.st_ino} {known.st_mtime_ns}", setup, seed)
        made = self._prepared / name
        async with held(self._locks / f"image-{name}.lock"):
            if not made.is_dir():
                await self._build(base, made, image, setup, seed, timeout_s)
        return str(made)

    async def open(self, spec: BoxSpec) -> Box:
        """A fresh, empty, locked-down box. Raises `Rejected`."""
        root = Path(spec.image)
        if root.parent not in (self._images, self._prepared) or not root.is_dir():
            raise Rejected(
                f"image '{spec.image}'", "was not made by prepare() here. Prepare it first."
            )
        return await self._open(spec, root, build=False)

    async def sweep(self, now: int) -> tuple[str, ...]:
        """Remove every box of this state directory whose lease ended before `now`; their names."""
        return await self._thread(lambda: self._remove({}, lambda lease: lease < now))

    async def end(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Remove every box that carries all these labels now. Raises `ValueError` when there are none."""
        if not labels:
            raise ValueError("end() without labels would remove every box; name at least one.")
        return await self._thread(lambda: self._remove(labels, lambda _: True))

    def close(self) -> None:
        """Let go of the threads; open boxes stay until closed or swept."""
        self._threads.shutdown(wait=False)

    async def _open(self, spec: BoxSpec, root: Path, *, build: bool) -> CellBox:
        name = f"looprail-{uuid.uuid4().hex[:16]}"
        cell = BubblewrapCell(self._volumes, name, self._ca_bundle)
        limits = Limits(spec.memory_mb, charged_mb(spec), spec.pids, spec.cpus)

        def opened() -> None:
            grouped = as_root() and Group(name).make(limits)
            if not grouped:
                _say_ungrouped()
            labels = {prefixed(key): value for key, value in spec.labels.items()}
            record = Record(name, str(root), labels, spec.lease_until, limits, grouped, build=build)
            self._volumes.hold(record, spec.max_mb)

        try:
            await uninterrupted(self._threads, opened, Event())
        except BaseException:
            await self._thread(cell.remove)
            raise
        return CellBox(cell, self._blobs, self._threads, spec.max_mb)

    async def _build(
        self, base: Path, made: Path, image: str, setup: str, seed: Manifest, timeout_s: float
    ) -> None:
        self._prepared.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = made.with_suffix(".building")
        try:
            await self._thread(lambda: _copy(base, fresh))
            lease_until = int(time.time() + timeout_s + 600)
            spec = BoxSpec(
                str(fresh),
                {BUILT_BY: self._state},
                lease_until,
                _BUILD.max_mb,
                _BUILD.memory_mb,
                _BUILD.pids,
                cpus=2,
            )
            box = await self._open(spec, fresh, build=True)
            try:
                await box.load(seed)
                await setup_env.run_setup(box, image, setup, self._env, timeout_s)
            finally:
                await box.close()
            os.rename(fresh, made)
        finally:
            await self._thread(lambda: shutil.rmtree(fresh, ignore_errors=True))

    def _remove(self, labels: Mapping[str, str], due: Callable[[int], bool]) -> tuple[str, ...]:
        wanted = {prefixed(key): value for key, value in labels.items()}
        names = tuple(
            record.name
            for record in self._volumes.all()
            if due(record.lease_until) and wanted.items() <= record.labels.items()
        )
        for name in names:
            self._volumes.remove(name)
        return names

    async def _thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@cache
def _say_ungrouped() -> None:
    _LOG.warning(
        "bubblewrap has no control groups here: memory is limited for each process and processes for each user, "
        "CPU is not, so a box can take more than it should. Use Docker, or run the worker as root in a machine "
        "of its own (docs/security.md)."
    )


def _copy(base: Path, fresh: Path) -> None:
    """A whole copy: hard links would let a setup change the base in place."""
    shutil.rmtree(fresh, ignore_errors=True)
    keep = ["-a"] if as_root() else ["-a", "--no-preserve=ownership"]
    done = subprocess.run(
        ["cp", *keep, "--reflink=auto", "--", str(base), str(fresh)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Rejected(f"image '{base}'", f"cannot be copied: {done.stderr.strip()[:500]}")
