"""What keeps a bubblewrap box's files while no command runs?

One idle process per box with a mount namespace of its own, in which two size-limited tmpfs stand: no path
of the host reaches them. It outlives us as a container would; a record beside it says what it is and until
when it may live.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from drivers.sandbox.bwrap_limits import Group, Limits
from drivers.sandbox.cell import SCRATCH_MB, UID, inodes
from governance.errors import Rejected, Unavailable

_PROC = Path("/proc")
# $1 volume, $2 its options, $3 scratch, $4 its options
_HOLD = (
    'mount -t tmpfs -o "$2" box "$1" && mount -t tmpfs -o "$4" box "$3" && echo $$ && '
    "exec sleep infinity </dev/null >/dev/null 2>&1"
)


@dataclass(frozen=True)
class Record:
    """One box as the janitor knows it."""

    name: str
    root: str
    labels: Mapping[str, str]
    lease_until: int
    limits: Limits
    grouped: bool
    holder: int = 0
    born: str = ""
    """Boot and start time of the holder, so that another process of its number is never taken for it."""
    build: bool = False


class Volumes:
    """Every box below one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self.volume, self.scratch = state_dir / "volume", state_dir / "scratch"
        self._boxes = state_dir / "boxes"

    def hold(self, record: Record, max_mb: int) -> None:
        """Start the box's holder, write its record. Raises `Rejected` when namespaces are not allowed."""
        for directory in (self.volume, self.scratch, self._boxes):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Written first: whatever happens next, the janitor knows of it.
        self._write(record)
        owner = UID if as_root() else 0
        quota = f"size={max_mb}m,nr_inodes={inodes(max_mb)},uid={owner},gid={owner},mode=0700"
        scratch = f"size={SCRATCH_MB}m,nr_inodes=50000,mode=1777"
        own = [] if as_root() else ["--user", "--map-root-user"]
        done = subprocess.run(
            ["setsid", "--fork", "unshare", "--mount", *own, "--propagation", "private", "sh", "-c", _HOLD, "sh",
             str(self.volume), f"{quota},nosuid,nodev", str(self.scratch), f"{scratch},nosuid,nodev"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
        if not done.stdout.strip().isdigit():
            raise Rejected(
                "bubblewrap",
                f"no namespace of our own here: {done.stderr.strip()}. Allow unprivileged user "
                "namespaces (sysctl kernel.unprivileged_userns_clone=1), run as root, or use Docker.",
            )
        holder = int(done.stdout)
        self._write(replace(record, holder=holder, born=_born(holder)))

    def read(self, name: str) -> Record:
        """The box's record. Raises `Unavailable` when it is gone: another can be opened."""
        try:
            record = _parsed(self._path(name))
        except FileNotFoundError as error:
            raise Unavailable(f"box '{name}'", "is closed, ended or swept.") from error
        if not alive(record):
            raise Unavailable(
                f"box '{name}'", "lost its workspace: the process that held it is gone."
            )
        return record

    def all(self) -> Iterator[Record]:
        """Every box on record, dead or alive."""
        for path in sorted(self._boxes.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):
                yield _parsed(path)

    def remove(self, name: str) -> None:
        """End every process of the box and forget it. Safe to repeat."""
        with contextlib.suppress(FileNotFoundError):
            record = _parsed(self._path(name))
            if alive(record):
                _end(record.holder)
        Group(name).remove()
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._boxes / f"{name}.json"

    def _write(self, record: Record) -> None:
        path = self._path(record.name)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(record)))
        os.replace(fresh, path)


def _parsed(path: Path) -> Record:
    known: dict[str, Any] = json.loads(path.read_text())
    known["limits"] = Limits(**known["limits"])
    return Record(**known)


def as_root() -> bool:
    """Whether we are root, who drops to uid 1000 for real; others get a user namespace of their own."""
    return os.geteuid() == 0


def alive(record: Record) -> bool:
    """Whether the holder is the very process we started."""
    return record.holder != 0 and _born(record.holder) == record.born


def _born(pid: int) -> str:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    try:
        # The name in parentheses may hold anything, a parenthesis too.
        started = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return f"{boot} {started}"


def _end(holder: int) -> None:
    """Kill whoever is in the holder's mount namespace: it, and our side of a running command."""
    try:
        ours = os.stat(_PROC / str(holder) / "ns/mnt").st_ino
    except (FileNotFoundError, ProcessLookupError):
        return
    for place in _PROC.glob("[0-9]*/ns/mnt"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if place.stat().st_ino == ours:
                os.kill(int(place.parts[2]), signal.SIGKILL)
