"""What must the world be able to do for us?

Protocols only; `drivers/` speaks them, tests may fake them, `tasks/world.py` wires them.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from governance.conversation import ModelRequest, Reply, ToolResult, ToolSpec
from governance.parts import Json


class Model(Protocol):
    """One model provider, with its key inside."""

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> Reply:
        """One whole answer, or `Unavailable` (not billed), `Unknown` (may be billed), `Rejected`."""
        ...

    async def count(self, request: ModelRequest) -> int:
        """The provider's own estimate of the request's input tokens."""
        ...


class Connector(Protocol):
    """One MCP server, with its credential inside; reconnects by itself."""

    async def tools(self) -> tuple[ToolSpec, ...]:
        """Every tool it offers now. Raises `Unavailable`, `Rejected`."""
        ...

    async def call(
        self, tool: str, arguments: Json, *, key: str, timeout_s: float, max_bytes: int,
        in_time: Callable[[], None],
    ) -> ToolResult:  # fmt: skip
        """One call, with `key` sent as idempotency key. `Unavailable` only when it surely did not start.

        `in_time` is asked when the connection stands and the first byte is next; where it raises nothing is sent.
        """
        ...


@dataclass(frozen=True)
class CommandResult:
    """What a command did. `stopped` says which limit ended it, None when it ended by itself."""

    exit_code: int
    output: str
    seconds: float
    truncated: bool = False
    stopped: str | None = None
    """`timeout`, `memory`, `output` or None."""


@dataclass(frozen=True)
class FileEntry:
    """One path of a workspace. `blob` is the content's digest, a link's target, or empty for a directory."""

    mode: str
    """`100644`, `100755`, `120000` (link) or `040000` (directory)."""
    blob: str


Manifest = Mapping[str, FileEntry]
"""Everything below a workspace by relative path (no `..`, not absolute); its digest is the `state`."""


@dataclass(frozen=True)
class BoxSpec:
    """What a sandbox must be: prepared image, limits, and the labels the janitor sweeps by."""

    image: str
    """As `Sandbox.prepare` returned it."""
    labels: Mapping[str, str]
    lease_until: int
    """Unix seconds; the janitor removes what outlived it."""
    max_mb: int = 2000
    memory_mb: int = 1024
    pids: int = 256
    cpus: float = 1.0


class Box(Protocol):
    """One open sandbox. Nothing the maker writes is ever opened by the host."""

    async def run(
        self,
        command: str,
        *,
        timeout_s: float,
        max_bytes: int = 200_000,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """`sh -c command` in the workspace; no process of it is left when this returns."""
        ...

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        """A file below the workspace. Raises `FileNotFoundError`, `IsADirectoryError`, `ValueError` (outside)."""
        ...

    async def write(self, path: str, content: bytes) -> None:
        """Replace or create a file below the workspace, with its directories."""
        ...

    async def save(self) -> Manifest:
        """The whole volume; every content is in the blob store when this returns."""
        ...

    async def load(self, manifest: Manifest) -> None:
        """Make the volume exactly this."""
        ...

    async def close(self) -> None:
        """Remove container and volume. Safe to repeat."""
        ...


class Sandbox(Protocol):
    """A way to isolate: Docker, or bubblewrap where no engine answers."""

    async def prepare(self, image: str, setup: str, seed: Manifest, *, timeout_s: float) -> str:
        """Image with `setup` run over the seed files, made once per digest; the index is reachable only here."""
        ...

    async def open(self, spec: BoxSpec) -> Box:
        """A fresh, empty, locked-down box. Raises `Rejected` with the install line when nothing can isolate."""
        ...

    async def sweep(self, now: int) -> tuple[str, ...]:
        """Remove every box of ours whose lease ended; their names."""
        ...

    async def end(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Remove every box that carries all these labels now."""
        ...


class Blobs(Protocol):
    """Content by digest. Putting twice is putting once."""

    async def put(self, content: bytes) -> str:
        """Its digest, `sha256:<hex>`, durable when this returns."""
        ...

    async def get(self, blob: str) -> bytes:
        """The content, checked against its digest. Raises `StoreError`."""
        ...

    async def sweep(self, keep: Collection[str], before: int) -> tuple[int, int]:
        """Remove what is not in `keep` and was last put before this Unix second; how many, and their bytes."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A workspace as it would be delivered."""

    tree: str
    """git tree id, protected paths taken from the base."""
    diff: str
    """Unified diff against the base, binary-safe."""
    dropped: str
    """Diff of changes to protected paths that were not taken; empty when none."""
    lines: int
    """Lines added plus removed."""


class Repository(Protocol):
    """One upstream git repository, mirrored; git runs only here and never on files an agent holds."""

    async def fetch(self, ref: str) -> str:
        """The commit a branch, tag or id stands for upstream now."""
        ...

    async def files(self, treeish: str) -> Manifest:
        """The files of a commit or tree, contents in the blob store."""
        ...

    async def candidate(self, base: str, files: Manifest, protect: tuple[str, ...]) -> Candidate:
        """The tree these files amount to over `base`, ignored files left out."""
        ...

    async def commit(self, base: str, tree: str, *, message: str, author: str, at: int) -> str:
        """The commit of exactly this tree on `base`; same arguments, same id."""
        ...

    async def push(self, commit: str, branch: str) -> None:
        """Put the commit on the branch upstream; doing it twice is doing it once. Never forces over others' work."""
        ...
