"""Does Ctrl-C, at whatever moment, leave no process, no container, no volume, no cell and no file?"""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from demo.world import ROOT

pytestmark = [
    pytest.mark.prefect, pytest.mark.docker, pytest.mark.bwrap, pytest.mark.slow, pytest.mark.timeout(400),
]  # fmt: skip
MARK = "INTERRUPTED_DEMO"


@dataclass
class Demo:
    """`python -m demo` in a process group of its own, as a shell starts it, and whatever it starts."""

    place: Path
    environment: dict[str, str]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self.said = self.place.parent / "said"
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                (sys.executable, "-u", "-m", "demo"), cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment, "TMPDIR": str(self.place), MARK: self.mark},
                process_group=0,
            )  # fmt: skip

    @property
    def home(self) -> Path | None:
        """The world's directory, once there is one."""
        return next(iter(self.place.glob("looprail-demo-*")), None)

    def text(self) -> str:
        return self.said.read_text()

    def waits_for(self, moment: Callable[["Demo"], bool], timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        while not moment(self):
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < until, self.text()
            time.sleep(0.05)

    def processes(self) -> list[str]:
        """Every process of it: by the variable that all inherit, or by a path of its own on a command line."""
        found: list[str] = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                marked = self.mark.encode() in (process / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if marked or str(self.place) in line:
                found.append(f"{process.name} {line[:200]}")
        return found

    def boxes(self) -> list[str]:
        """Containers and volumes that know this place, by whatever label."""
        found: list[str] = []
        for kind in (("ps", "-a", "--no-trunc"), ("volume", "ls")):
            listed = subprocess.run(
                ("docker", *kind, "--format", "{{json .}}"),
                capture_output=True,
                text=True,
                check=True,
            )
            found += [line for line in listed.stdout.splitlines() if str(self.place) in line]
        return found

    def cells(self) -> list[str]:
        """Records of bubblewrap's boxes."""
        return [str(p) for p in self.place.rglob("boxes/*.json")]


def _starts_up(demo: Demo) -> bool:
    return demo.home is not None


def _prefect_starts(demo: Demo) -> bool:
    return demo.home is not None and (demo.home / "logs" / "prefect.log").exists()


def _deploys(demo: Demo) -> bool:
    return demo.home is not None and (demo.home / "prefect.yaml").exists()


def _a_box_runs(demo: Demo) -> bool:
    return bool(demo.boxes() or demo.cells())


def _waits_for_a_person(demo: Demo) -> bool:
    return "answer it at" in demo.text()


@pytest.mark.parametrize(
    ("moment", "numbers", "engine"),
    [
        (_starts_up, (signal.SIGINT,), "docker"),
        (_prefect_starts, (signal.SIGTERM, signal.SIGTERM), "docker"),
        (_deploys, (signal.SIGINT, signal.SIGINT), "docker"),
        (_a_box_runs, (signal.SIGINT, signal.SIGTERM, signal.SIGINT), "docker"),
        (_a_box_runs, (signal.SIGTERM,), "bubblewrap"),
        (_waits_for_a_person, (signal.SIGINT,), "bubblewrap"),
    ],
)
def test_an_interrupted_demo_leaves_nothing(
    moment: Callable[[Demo], bool], numbers: tuple[signal.Signals, ...], engine: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    away = {"DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"} if engine == "bubblewrap" else {}
    demo = Demo(place, away)
    try:
        demo.waits_for(moment, 240)
        assert demo.processes()
        for number in numbers:  # the later ones while it is cleaning up
            os.killpg(demo.process.pid, number)
            time.sleep(0.5)
        code = demo.process.wait(60)
        assert (demo.processes(), demo.boxes(), os.listdir(place)) == ([], [], []), demo.text()
        assert code == 130
        assert "Stopped; nothing is left running." in demo.text()
        assert "Traceback" not in demo.text()
    finally:
        demo.process.kill()
        demo.process.wait()
