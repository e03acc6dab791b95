"""Is it said, and said once, that bubblewrap cannot bound a box as a whole?"""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bwrap
TWO_BOXES = """
import asyncio, sys
from pathlib import Path
from drivers.blobs import DirectoryBlobs
from drivers.sandbox.bubblewrap import BubblewrapSandbox
from governance.ports import BoxSpec

async def main():
    place = Path(sys.argv[1])
    sandbox = BubblewrapSandbox(DirectoryBlobs(place / "blobs"), place / "state")
    image = await sandbox.prepare("looprail/python:3.11", "", {}, timeout_s=10)
    for number in range(2):
        box = await sandbox.open(BoxSpec(image, {}, 2_000_000_000, max_mb=20, memory_mb=64))
        hog = await box.run("python3 -c 'bytearray(3_000_000_000)'", timeout_s=30)
        print(hog.exit_code, hog.stopped, "MemoryError" in hog.output)
        await box.close()

asyncio.run(main())
"""


def test_without_control_groups_a_process_is_still_bounded_and_the_log_says_so_once(
    tmp_path: Path,
) -> None:
    """Where no group can be made: a file system without them in their place, which takes root to put there."""
    hidden = 'mount -t tmpfs none /sys/fs/cgroup && mount -o remount,ro /sys/fs/cgroup && exec "$@"'
    done = subprocess.run(
        ("unshare", "--mount", "sh", "-c", hidden, "sh", sys.executable, "-c", TWO_BOXES, str(tmp_path)),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["1 None True"] * 2
    assert done.stderr.count("bubblewrap has no control groups here") == 1
    assert "memory is limited for each process" in done.stderr
