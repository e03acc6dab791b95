"""Does the base image's script say what it lacks, and touch nothing then?"""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "images" / "build.sh"
TOOLS = ("sh", "id", "tr", "mkdir", "chmod", "mktemp", "rm", "cat", "timeout", "sed")


def run(*arguments: str, path: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with neither debootstrap nor docker."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in TOOLS:
        (directory / tool).symlink_to(f"/usr/bin/{tool}")
    return directory


@pytest.mark.skipif(os.geteuid() != 0, reason="the script asks for root first")
def test_a_missing_debootstrap_is_named_with_the_line_that_installs_it(
    bare: Path, tmp_path: Path
) -> None:
    done = run("--root", str(tmp_path / "images"), path=bare)
    assert done.returncode == 1
    assert "apt-get install debootstrap" in done.stderr
    assert list((tmp_path / "images").iterdir()) == []


def test_an_unknown_argument_is_refused(bare: Path) -> None:
    done = run("--forced", path=bare)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")


def test_an_image_name_cannot_lead_elsewhere(bare: Path, tmp_path: Path) -> None:
    for name in ("../../etc", "a b", "x;id"):
        assert "may hold" in run("--name", name, "--root", str(tmp_path / "i"), path=bare).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="the script asks for root first")
def test_an_installed_directory_is_left_as_it_is(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "looprail-x-1").mkdir()
    done = run("--root", str(tmp_path), "--name", "looprail/x:1", path=bare)
    assert (done.returncode, "exists" in done.stdout) == (0, True)
