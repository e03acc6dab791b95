"""How much may all processes of a bubblewrap box take together?

Control groups where we may make them (v1 or v2, as root); else per-process limits, which bound a box
less tightly: memory per process, and processes per user.
"""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from drivers.sandbox.cell import MAX_FILE_MB

_ROOT = Path("/sys/fs/cgroup")
_PARENT = "looprail"
_MB = 1024 * 1024
_PERIOD_US = 100_000
_EMPTY_S = 2.0


@dataclass(frozen=True)
class Limits:
    """What a box may take. `charged_mb` is memory with everything its volumes may hold."""

    memory_mb: int
    charged_mb: int
    pids: int
    cpus: float


class Group:
    """The control group of one box; `directories` is empty where none can be made."""

    def __init__(self, name: str) -> None:
        v2 = (_ROOT / "cgroup.controllers").exists()
        parents = [_ROOT] if v2 else [_ROOT / kind for kind in ("memory", "pids", "cpu")]
        self._v2 = v2
        self._places = [parent / _PARENT / name for parent in parents]

    @property
    def directories(self) -> list[Path]:
        """Where a process writes its id to join."""
        return [place for place in self._places if place.is_dir()]

    def make(self, limits: Limits) -> bool:
        """Whether the group now exists with these limits."""
        try:
            for place in self._places:
                place.parent.mkdir(exist_ok=True)
                if self._v2:
                    for above in (place.parents[1], place.parent):
                        (above / "cgroup.subtree_control").write_text("+memory +pids +cpu")
                place.mkdir()
            for place, file, value in self._settings(limits):
                (place / file).write_text(value)
        except OSError:
            self.remove()
            return False
        return True

    def ooms(self) -> int:
        """How often the kernel ended a process of the box for memory."""
        place = self._places[0]
        with contextlib.suppress(FileNotFoundError):
            text = (place / ("memory.events" if self._v2 else "memory.oom_control")).read_text()
            counts = dict(line.split() for line in text.splitlines())
            return int(counts.get("oom_kill", "0"))
        return 0

    def remove(self) -> None:
        """Take the group away, once its last process is reaped."""
        until = time.monotonic() + _EMPTY_S
        for place in self.directories:
            while place.is_dir():
                try:
                    place.rmdir()
                except OSError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.02)

    def _settings(self, limits: Limits) -> list[tuple[Path, str, str]]:
        memory = str(limits.charged_mb * _MB)
        quota = int(limits.cpus * _PERIOD_US)
        if self._v2:
            (place,) = self._places
            return [
                (place, "memory.max", memory),
                (place, "memory.swap.max", "0"),
                (place, "pids.max", str(limits.pids)),
                (place, "cpu.max", f"{quota} {_PERIOD_US}"),
            ]
        in_memory, in_pids, in_cpu = self._places
        swap = in_memory / "memory.memsw.limit_in_bytes"
        return [
            (in_memory, "memory.limit_in_bytes", memory),
            *([(in_memory, swap.name, memory)] if swap.exists() else []),
            (in_pids, "pids.max", str(limits.pids)),
            (in_cpu, "cpu.cfs_period_us", str(_PERIOD_US)),
            (in_cpu, "cpu.cfs_quota_us", str(quota)),
        ]


def prefix(limits: Limits, *, grouped: bool) -> list[str]:
    """The command that sets per-process limits inside the box and then becomes the rest."""
    command = [
        "/usr/bin/prlimit",
        f"--fsize={MAX_FILE_MB * _MB}",
        "--core=0",
        "--nofile=4096",
    ]
    if not grouped:
        command += [f"--data={limits.memory_mb * _MB}", f"--nproc={limits.pids}"]
    return [*command, "--"]
