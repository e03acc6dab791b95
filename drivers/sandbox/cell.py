"""What is the least an isolation must do, so that a whole box can stand on it?"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Protocol

from governance.ports import BoxSpec

_PREFIX = "looprail."

HOME = "/tmp"
"""Caches go to the small scratch space, not into the workspace that is saved and delivered."""

BASE_ENV: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
}
"""All that a command finds in its environment before the caller adds to it."""

UID = 1000
"""Who commands run as, and who owns the workspace."""

SCRATCH_MB = 256
"""Size of /tmp; it is neither saved nor delivered."""

MAX_FILE_MB = 512
"""Largest single file, so that reading one back never takes more of the host's memory."""

Sink = Callable[[int, bytes], bool]
"""Takes (1 or 2, bytes) as they come; False means that it was enough and the command must end."""


@dataclass(frozen=True)
class Order:
    """One `sh -c script sh *arguments` in the workspace."""

    script: str
    arguments: tuple[str, ...] = ()
    timeout_s: float = 60.0
    stdin: IO[bytes] | None = None
    env: Mapping[str, str] | None = None
    trusted: bool = False
    """A script of ours that leaves no process behind, so nobody need look for one."""


@dataclass(frozen=True)
class Ended:
    """How it ended. `stopped` is `timeout`, `memory`, `output`, `cancelled` or None."""

    exit_code: int
    seconds: float
    stopped: str | None = None


class Cell(Protocol):
    """One isolated place with a workspace. Blocking; one order at a time."""

    @property
    def name(self) -> str:
        """What the janitor calls it."""
        ...

    def execute(self, order: Order, sink: Sink, cancel: threading.Event) -> Ended:
        """Run one order; no process of it is left when this returns. Raises `Unavailable`, also when the box is gone."""
        ...

    def remove(self) -> None:
        """End everything in it and free what it holds. Safe to repeat."""
        ...


BUILT_BY = "looprail.built_by"
"""On a box that prepares an image: the state directory it does so for, by which it can be ended."""

SHM_MB = 64
"""Size of /dev/shm."""


def prefixed(key: str) -> str:
    """A label's name as janitors know it: ours are recognisable among everybody's."""
    return key if key.startswith(_PREFIX) else _PREFIX + key


def charged_mb(spec: BoxSpec) -> int:
    """The memory limit of a box: a tmpfs page is charged to its writer, so what may be stored is added."""
    kernel_mb = inodes(spec.max_mb) // 1000
    return spec.memory_mb + spec.max_mb + SCRATCH_MB + SHM_MB + kernel_mb


def inodes(max_mb: int) -> int:
    """How many files a workspace of that size may hold."""
    return max(10_000, max_mb * 100)
