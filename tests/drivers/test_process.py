"""Is another process surely dead? Real ones, killed for real."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from drivers.process import fate_of, this_process
from governance.parts import Json

NOTE = "import json, sys; from drivers.process import this_process; print(json.dumps(this_process()), flush=True)"
STAYS = f"{NOTE}; sys.stdin.read()"


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], Json]]:
    """A process of its own, and what it noted of itself."""
    with subprocess.Popen(
        [sys.executable, "-c", STAYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
        process.kill()


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as told:
        return told.read().rpartition(")")[2].split()[0]


def until(pid: int, state: str) -> None:
    ends = time.monotonic() + 10
    while state_of(pid) != state:
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_one_that_works_may_still_act(other: tuple[subprocess.Popen[str], Json]):
    process, noted = other
    fate, why = fate_of(noted)
    assert fate == "running"
    assert why == f"may still be running: process {process.pid} on {noted['host']} is there"


def test_one_that_is_stopped_may_go_on_any_time(other: tuple[subprocess.Popen[str], Json]):
    process, noted = other
    process.send_signal(signal.SIGSTOP)
    until(process.pid, "T")
    fate, why = fate_of(noted)
    assert (fate, "(it is stopped)" in why) == ("running", True)


def test_one_that_was_killed_is_dead_though_nobody_has_buried_it(
    other: tuple[subprocess.Popen[str], Json],
):
    process, noted = other
    process.kill()
    until(process.pid, "Z")
    fate, why = fate_of(noted)
    assert (fate, why.endswith("has ended")) == ("dead", True)
    process.wait()
    fate, why = fate_of(noted)
    assert (fate, why.startswith("proven dead: there is no process")) == ("dead", True)


def test_another_process_under_its_number_is_not_it(other: tuple[subprocess.Popen[str], Json]):
    _, noted = other
    fate, why = fate_of({**noted, "started": noted["started"] - 1})
    assert (fate, why.endswith("is another process by now")) == ("dead", True)


def test_a_leader_whose_threads_go_on_is_not_dead():
    """The main thread may end before the others do."""
    script = (
        f"{NOTE}; import ctypes, threading, time;"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start();"
        "ctypes.CDLL(None).syscall(60, 0)"  # exit of this thread alone
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        noted = json.loads(process.stdout.readline())
        until(process.pid, "Z")
        assert fate_of(noted)[0] == "running"
        process.kill()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"boot": "another"}, "of another host, or of another boot of this one"),
        ({"spaces": "pid:[1] time:[1]"}, "ran in a container of its own"),
    ],
)
def test_what_the_kernel_here_cannot_vouch_for_is_not_known(change: Json, why: str):
    fate, told = fate_of({**this_process(), **change})
    assert fate == "unknown"
    assert told.startswith("not known: ")
    assert why in told


def test_a_life_of_the_time_before_it_was_noted_is_not_known():
    assert fate_of(None) == ("unknown", "not known: nobody noted which process it was")


def test_one_that_belongs_to_somebody_else_is_seen():
    """Without the right to signal it, the kernel still says that it is there, and when it began."""
    script = (
        "import os; from drivers.process import fate_of, this_process;"
        "noted = {**this_process(), 'pid': 1, 'started': -1};"
        "os.geteuid() or os.setuid(65534);"
        "print(fate_of(noted)[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith("is another process by now")
