"""Who is out there besides the first forge and the first model: other people's repositories, other models' makers?"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from demo.processes import free_port, program


@dataclass(frozen=True)
class Upstream:
    """One more forge with a repository of its own.

    In a world it is the connectors `github-<name>` and `ci-<name>` and the repository block `<name>`.
    """

    repository: Path
    """The bare repository, in a directory of its own; seeded with the demo's when nothing is there."""
    tests: tuple[str, ...] = ()
    """The paths its CI runs; whatever pytest finds by default."""
    bugs: tuple[str, ...] = ()
    """Bugs of the demo's repository that are seeded; all by default."""
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Its page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def state(self) -> Path:
        """Its own database: pull requests, CI runs, every call it got."""
        return self.repository.parent / "forge.db"

    def command(self, token: Path) -> tuple[str, ...]:
        """The process that serves it."""
        return (
            program("python"), "-m", "demo.forge", "--port", str(self.port), "--repo",
            str(self.repository), "--state", str(self.state), "--token-file", str(token),
            "--ci-isolation", "bubblewrap" if shutil.which("bwrap") else "none",
            *(word for path in self.tests for word in ("--tests", path)),
            *(word for bug in self.bugs for word in ("--bug", bug)),
        )  # fmt: skip

    def blocks(self, name: str, token: str) -> Mapping[str, Mapping[str, str]]:
        """The blocks through which loops reach it."""
        tools = {
            f"mcp-server/{tool}-{name}": {"url": f"{self.url}/{tool}/mcp", "token": token}
            for tool in ("github", "ci")
        }
        return {**tools, f"repository/{name}": {"url": self.repository.as_uri()}}


@dataclass(frozen=True)
class Actor:
    """One more model provider, played by others; in a world it is the ModelProvider block of its name."""

    persona: str
    """As `python -m demo.model --persona`."""
    knowledge: Path | None = None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        """Its Messages API."""
        return f"http://127.0.0.1:{self.port}"

    def command(self, key: Path, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The process that plays it."""
        known = ("--knowledge", str(self.knowledge)) if self.knowledge else ()
        return (
            program("python"), "-m", "demo.model", "--port", str(self.port), "--key-file", str(key),
            "--persona", self.persona, *known, *options,
        )  # fmt: skip
