"""Does the demo stop at once where nothing can isolate an agent?"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.world import ROOT


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with make and a shell, and neither an engine nor bubblewrap."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("make", "sh", "date", "python3"):
        (programs / name).symlink_to(str(shutil.which(name)))
    return {
        "PATH": str(programs),
        "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock",
        "TMPDIR": str(tmp_path),
        "HOME": str(tmp_path),
    }


@pytest.mark.parametrize(
    "command", [(sys.executable, "-m", "demo"), ("make", "demo"), ("make", "demo", "AUTO=1")]
)
def test_with_neither_engine_it_stops_within_seconds_with_the_install_line(
    command: tuple[str, ...], bare: dict[str, str], tmp_path: Path
) -> None:
    began = time.monotonic()
    done = subprocess.run(
        command, env=bare, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert time.monotonic() - began < 10
    assert done.returncode == (2 if command[0] == "make" else 1)
    told = done.stdout + done.stderr
    assert "'apt-get install docker.io' and start dockerd, or 'apt-get install bubblewrap'" in told
    assert "Traceback" not in told
    assert os.listdir(tmp_path) == ["bin"]
