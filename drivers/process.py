"""Which process is this, and is another one, noted earlier, surely dead?

Only what the kernel can vouch for counts as proof: the same boot of the same kernel, the same namespaces of process
ids and of time, and then no process of that number, or one that began at another moment. A name or an id of a host
proves nothing, since a copied machine has both.
"""

import os
from pathlib import Path
from socket import gethostname
from typing import Literal

from governance.parts import Json

Fate = tuple[Literal["dead", "running", "unknown"], str]
"""Whether a process may still act, and how we know, in words for a person."""

_ENDED = "ZX"
"""States of a thread that executes nothing any more: zombie, dead."""


def this_process() -> Json:
    """Who we are, as another process can look us up."""
    pid = os.getpid()
    return {
        "host": gethostname(),
        "boot": _boot(),
        "spaces": _spaces(),
        "pid": pid,
        "started": _started(pid),
    }


def fate_of(noted: Json | None) -> Fate:
    """Whether a process noted by `this_process` may still act."""
    if noted is None:
        return "unknown", "not known: nobody noted which process it was"
    where = f"process {noted['pid']} on {noted['host']}"
    if noted["boot"] != _boot():
        return "unknown", f"not known: {where} is of another host, or of another boot of this one"
    if noted["spaces"] != _spaces():
        return "unknown", f"not known: {where} ran in a container of its own"
    return _look(noted, where)


def _look(noted: Json, where: str) -> Fate:
    pid = int(noted["pid"])
    try:
        # Asks the kernel itself: /proc may hide other people's processes.
        os.kill(pid, 0)
    except ProcessLookupError:
        return "dead", f"proven dead: there is no {where}"
    except PermissionError:
        pass
    started = _started(pid)
    if started is None:
        return "unknown", f"not known: {where} may be there, and cannot be looked at"
    if started != noted["started"]:
        return "dead", f"proven dead: {where} is another process by now"
    states = _states(pid)
    if states and all(s in _ENDED for s in states):
        return "dead", f"proven dead: {where} has ended"
    stopped = " (it is stopped)" if "T" in states else ""
    return "running", f"may still be running: {where} is there{stopped}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _spaces() -> str:
    """Numbers and moments of processes mean something only to those who share these."""
    return " ".join(os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "time"))


def _started(pid: int) -> int | None:
    """Clock ticks between the kernel's start and the process's."""
    told = _stat(Path(f"/proc/{pid}/stat"))
    return int(told[19]) if told else None


def _states(pid: int) -> str:
    """One letter for each of its threads: a leader that has ended may have left others behind."""
    every = (_stat(path) for path in Path(f"/proc/{pid}/task").glob("*/stat"))
    return "".join(told[0] for told in every if told)


def _stat(path: Path) -> list[str]:
    """The fields behind the name, which may hold anything; empty when there is no such process."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []
