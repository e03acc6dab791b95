"""How does one container run a command and keep nothing of it?

The container idles under `docker-init` as uid 1001; commands are execs as uid 1000. So a maker can
neither signal nor trace what keeps its workspace mounted, and `kill -9 -1` ends all of the maker at once:
the kernel walks the process list under a lock, so a fork bomb cannot outrun it.
"""

import contextlib
import threading
import time

from drivers.sandbox.cell import BASE_ENV, UID, Ended, Order, Sink
from drivers.sandbox.container import KEEPER_UID, remove, start_keeper
from drivers.sandbox.engine import Engine
from drivers.sandbox.stream import ExecStream
from governance.errors import DriverError, Unavailable

_GRACE_S = 10.0
_START_S = 30.0
_SETTLE_S = 2.0
_KILLED = 137

# The inner timeout ends the command even when we are dead; the kill takes the daemons it left.
_WRAPPER = (
    't=$1 s=$2; shift 2; timeout -k 1 -s TERM "$t" sh -c "$s" sh "$@"; '
    "code=$?; kill -9 -1 2>/dev/null; exit $code"
)
_OOM_COUNT = "cat /sys/fs/cgroup/memory/memory.oom_control /sys/fs/cgroup/memory.events 2>/dev/null"


class DockerCell:
    """A running container and its volume, both of one name."""

    def __init__(self, engine: Engine, name: str, user: int = UID) -> None:
        self._engine, self._name, self._user = engine, name, user
        self._ooms = 0

    @property
    def name(self) -> str:
        """Name of the container and of its volume."""
        return self._name

    def execute(self, order: Order, sink: Sink, cancel: threading.Event) -> Ended:
        """Run one order; no process of it is left when this returns. Raises `Unavailable`, also when the box is gone."""
        began = time.monotonic()
        stopped, code = self._stream(order, sink, cancel, began + order.timeout_s + _GRACE_S)
        seconds = time.monotonic() - began
        if stopped or not order.trusted:
            self._settle(at_once=stopped is not None)
        if stopped is None and code in (124, _KILLED):
            if seconds >= order.timeout_s:
                stopped = "timeout"
            elif code == _KILLED and self._out_of_memory():
                stopped = "memory"
        return Ended(code, seconds, stopped)

    def remove(self) -> None:
        """Remove container and volume. Safe to repeat."""
        remove(self._engine, self._name)

    def _stream(
        self, order: Order, sink: Sink, cancel: threading.Event, deadline: float
    ) -> tuple[str | None, int]:
        argv = ["/bin/sh", "-c", _WRAPPER, "sh", f"{order.timeout_s:.3f}", order.script]
        exec_id = self._engine.execute(
            self._name,
            [*argv, *order.arguments],
            user=self._user,
            env={**BASE_ENV, **(order.env or {})},
        )
        version = str(self._engine.client.api.api_version)
        stream = ExecStream(self._engine.socket_path, version, exec_id, timeout_s=_START_S)
        with contextlib.closing(stream):
            stopped = stream.pump(order.stdin, sink, deadline, cancel)
        return stopped, _KILLED if stopped else self._code(exec_id)

    def _code(self, exec_id: str) -> int:
        until = time.monotonic() + _SETTLE_S
        while (known := self._engine.outcome(self._name, exec_id))["Running"]:
            if time.monotonic() > until:
                raise Unavailable(f"box '{self._name}'", "its command ended without an exit code.")
            time.sleep(0.02)
        if not known["Pid"]:
            raise Unavailable(f"box '{self._name}'", "the engine could not start the command.")
        return int(known["ExitCode"])

    def _settle(self, *, at_once: bool) -> None:
        if not at_once and self._idle_within(0.1):
            return
        # A full process table refuses the exec; the restart below needs no process inside.
        with contextlib.suppress(DriverError):
            self._kill()
            if self._idle_within(_SETTLE_S):
                return
        self._restart()

    def _idle_within(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while self._engine.processes(self._name) > 2:
            if time.monotonic() > until:
                return False
            time.sleep(0.02)
        return True

    def _kill(self) -> None:
        argv = ["/bin/sh", "-c", "kill -9 -1"]
        exec_id = self._engine.execute(self._name, argv, user=self._user, env={})
        with self._engine.at(self._name) as client:
            client.api.exec_start(exec_id, detach=True)

    def _restart(self) -> None:
        """A tmpfs volume lives while a container mounts it, so another one does meanwhile."""
        keeper = start_keeper(self._engine, self._name)
        with self._engine.at(self._name) as client:
            client.api.restart(self._name, timeout=0)
            client.api.remove_container(keeper, force=True)

    def _out_of_memory(self) -> bool:
        argv = ["/bin/sh", "-c", _OOM_COUNT]
        exec_id = self._engine.execute(self._name, argv, user=KEEPER_UID, env=BASE_ENV)
        with self._engine.at(self._name) as client:
            said = bytes(client.api.exec_start(exec_id)).decode()
        counts = [line.split()[1] for line in said.splitlines() if line.startswith("oom_kill ")]
        before, self._ooms = self._ooms, sum(int(count) for count in counts)
        return self._ooms > before
