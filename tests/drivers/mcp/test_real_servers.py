"""Servers of other people: PyPI's mcp-server-git and two of npm, isolated as in production."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from drivers.mcp import McpConnector

pytestmark = [pytest.mark.bwrap, pytest.mark.slow]
EVERYTHING, FILES = "server-everything@2026.8.31", "server-filesystem@2026.8.31"


def git(*words: str, cwd: Path) -> None:
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@northwind.example"]
    subprocess.run(["git", *identity, *words], cwd=cwd, check=True, capture_output=True)


async def test_git_from_pypi_works_on_one_bound_repository_and_no_other(tmp_path: Path) -> None:
    for name in ("ours", "other"):
        (tmp_path / name).mkdir()
        git("init", "-q", "-b", "main", cwd=tmp_path / name)
        git("commit", "-q", "--allow-empty", "-m", f"first of {name}", cwd=tmp_path / name)
    command = (str(Path(sys.executable).parent / "mcp-server-git"),)
    binds = ((str(tmp_path / "ours"), "ro"),)
    async with McpConnector.stdio("git", command, binds=binds) as connector:
        tools = {tool.name: tool for tool in await connector.tools()}
        assert tools["git_log"].read_only is True
        assert tools["git_reset"].destructive is True
        log = await connector.call(
            "git_log",
            {"repo_path": str(tmp_path / "ours")},
            key="k",
            timeout_s=20,
            max_bytes=10_000,
        )
        assert "first of ours" in log.text
        other = await connector.call(
            "git_log",
            {"repo_path": str(tmp_path / "other")},
            key="k",
            timeout_s=20,
            max_bytes=10_000,
        )
        assert other.is_error
        assert "first of other" not in other.text


@pytest.fixture(scope="session")
def modules() -> Path:
    """A node_modules outside the repository, kept between runs."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    place = Path(tempfile.gettempdir()) / "looprail-test-npm"
    wanted = [f"@modelcontextprotocol/{name}" for name in (EVERYTHING, FILES)]
    bins = place / "node_modules" / ".bin"
    if (
        not (bins / "mcp-server-everything").exists()
        or not (bins / "mcp-server-filesystem").exists()
    ):
        place.mkdir(exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(place), *wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50)
        if done.returncode:
            pytest.skip(f"npm could not install the servers: {done.stderr[-300:]}")
    return place / "node_modules"


async def test_everything_from_npm_speaks_the_older_protocol(modules: Path) -> None:
    command = (str(modules / ".bin" / "mcp-server-everything"),)
    async with McpConnector.stdio("everything", command) as connector:
        tools = {tool.name for tool in await connector.tools()}
        assert {"echo", "get-sum"} <= tools
        result = await connector.call(
            "get-sum", {"a": 2, "b": 40}, key="k", timeout_s=20, max_bytes=1000
        )
        assert "42" in result.text
        bad = await connector.call("get-sum", {"a": "x"}, key="k", timeout_s=20, max_bytes=3000)
        assert bad.is_error
        picture = await connector.call("get-tiny-image", {}, key="k", timeout_s=20, max_bytes=3000)
        assert "[image image/png, " in picture.text


async def test_files_from_npm_sees_only_what_is_bound(modules: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    command = (str(modules / ".bin" / "mcp-server-filesystem"), str(tmp_path))
    async with McpConnector.stdio("files", command, binds=((str(tmp_path), "ro"),)) as connector:
        tools = {tool.name: tool for tool in await connector.tools()}
        assert tools["write_file"].destructive is True
        path = str(tmp_path / "note.txt")
        read = await connector.call(
            "read_text_file", {"path": path}, key="k", timeout_s=20, max_bytes=1000
        )
        assert read.text == "hello"
        written = await connector.call(
            "write_file", {"path": path, "content": "x"}, key="k", timeout_s=20, max_bytes=1000
        )
        assert written.is_error
    assert (tmp_path / "note.txt").read_text() == "hello"
