"""How does one bubblewrap run one command and keep nothing of it?

Every command has a process namespace of its own, which the kernel ends with its first process, and which
ends with us. The workspace is mounted from the box's holder.
"""

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from drivers.sandbox import seccomp
from drivers.sandbox.bwrap_limits import Group, prefix
from drivers.sandbox.bwrap_volume import Record, Volumes, as_root
from drivers.sandbox.cell import BASE_ENV, SHM_MB, UID, Ended, Order, Sink
from drivers.sandbox.pipes import pump
from drivers.sandbox.setup_env import CA_TARGET
from governance.errors import Unavailable

_GRACE_S = 5.0
_KILLED = 137
_BUILD_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")
_WRAPPER = 't=$1 s=$2; shift 2; exec timeout -k 1 -s TERM "$t" sh -c "$s" sh "$@"'
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 125; shift; done; shift; exec "$@"'


class BubblewrapCell:
    """A held volume and the root directory its commands see."""

    def __init__(self, volumes: Volumes, name: str, ca_bundle: Path | None = None) -> None:
        self._volumes, self._name, self._ca_bundle = volumes, name, ca_bundle
        self._group = Group(name)

    @property
    def name(self) -> str:
        """Name of the box on record."""
        return self._name

    def execute(self, order: Order, sink: Sink, cancel: threading.Event) -> Ended:
        """Run one order; no process of it is left when this returns. Raises `Unavailable`, also when the box is gone."""
        record = self._volumes.read(self._name)
        ooms = self._group.ooms()
        began = time.monotonic()
        deadline = began + order.timeout_s + _GRACE_S
        with self._started(record, order) as process:
            stopped = pump(process, order.stdin, sink, deadline, cancel)
            if stopped:
                process.kill()
            code = process.wait()
        seconds = time.monotonic() - began
        if stopped is None and code in (124, _KILLED):
            if seconds >= order.timeout_s:
                stopped = "timeout"
            elif code == _KILLED and self._group.ooms() > ooms:
                stopped = "memory"
        return Ended(_KILLED if code < 0 else code, seconds, stopped)

    def remove(self) -> None:
        """End everything in it and free what it holds. Safe to repeat."""
        self._volumes.remove(self._name)

    @contextmanager
    def _started(self, record: Record, order: Order) -> "Generator[subprocess.Popen[bytes]]":
        """The running command; every process of it is gone when the block ends."""
        options = self._options(record, {**BASE_ENV, **(order.env or {})})
        info, info_write = os.pipe()
        with _passed("\0".join(options).encode()) as args, _passed(seccomp.program()) as rules:
            inside = [
                *prefix(record.limits, grouped=record.grouped),
                *([] if record.build or not as_root() else _BECOME),
                *("/bin/sh", "-c", _WRAPPER, "sh", f"{order.timeout_s:.3f}", order.script),
                *order.arguments,
            ]
            descriptors = (
                "--args",
                str(args),
                "--seccomp",
                str(rules),
                "--info-fd",
                str(info_write),
            )
            process = subprocess.Popen(
                [*self._joined(record), "bwrap", *descriptors, "--", *inside],
                stdin=subprocess.DEVNULL if order.stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(args, rules, info_write),
                env={"PATH": BASE_ENV["PATH"]},
                start_new_session=True,
            )
        os.close(info_write)
        with process, os.fdopen(info, "rb") as told:
            first = _first_process(told.read())
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                self._wait_for(first)

    def _wait_for(self, first: int | None) -> None:
        """The kernel reaps a namespace's first process after all the others; killing bwrap kills it."""
        if first is None:
            return
        ended = select.select([first], [], [], _GRACE_S)[0]
        os.close(first)
        if not ended:
            raise Unavailable(f"box '{self._name}'", "a command of it cannot be ended.")

    def _joined(self, record: Record) -> list[str]:
        places = [str(place) for place in self._group.directories] if record.grouped else []
        space = f"/proc/{record.holder}/ns"
        user = [] if as_root() else [f"--user={space}/user", "--preserve-credentials"]
        return [
            "sh",
            "-c",
            _JOIN,
            "sh",
            *places,
            "--",
            "nsenter",
            *user,
            f"--mount={space}/mnt",
            "--",
        ]

    def _options(self, record: Record, env: Mapping[str, str]) -> list[str]:
        options = "--unshare-ipc --unshare-pid --unshare-uts --unshare-cgroup-try --hostname box"
        options += " --new-session --die-with-parent --cap-drop ALL --clearenv"
        if not record.build:
            options += " --unshare-net"
        return [
            *options.split(),
            *_identity(build=record.build),
            *(part for key, value in env.items() for part in ("--setenv", key, value)),
            *("--bind" if record.build else "--ro-bind", record.root, "/"),
            *(self._index() if record.build else ()),
            *("--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--size", str(SHM_MB * 1024 * 1024), "--tmpfs", "/dev/shm"),
            *("--remount-ro", "/dev"),
            *("--bind", str(self._volumes.volume), "/workspace"),
            *("--bind", str(self._volumes.scratch), "/tmp"),
            *("--chdir", "/"),
        ]

    def _index(self) -> list[str]:
        """What a setup needs of the host to reach its index."""
        binds = ["--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf"]
        if self._ca_bundle is not None:
            binds += ["--ro-bind", str(self._ca_bundle), CA_TARGET]
        return binds


# bwrap drops to no user but its own; so it leaves setpriv what that takes, and setpriv leaves nothing.
_BECOME = [
    *("/usr/bin/setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"),
    *("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"),
]


def _identity(*, build: bool) -> list[str]:
    if as_root():
        wanted = _BUILD_CAPABILITIES if build else ("SETUID", "SETGID", "SETPCAP")
        return [part for name in wanted for part in ("--cap-add", f"CAP_{name}")]
    user = "0" if build else str(UID)
    return ["--unshare-user", "--uid", user, "--gid", user]


@contextmanager
def _passed(content: bytes) -> Generator[int]:
    """A descriptor that a child reads this from; unlike an argument, no other user sees it."""
    descriptor = os.memfd_create("looprail", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _first_process(told: bytes) -> int | None:
    """A descriptor of the namespace's first process; None when it never was or already ended."""
    with contextlib.suppress(ValueError, KeyError, ProcessLookupError):
        return os.pidfd_open(int(json.loads(told)["child-pid"]))
    return None
