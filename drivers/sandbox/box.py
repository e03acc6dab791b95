"""How does a box keep its promises, whatever isolates it?"""

import asyncio
import errno
import io
import posixpath
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import IO, TypeVar

from drivers.sandbox import archive, scripts
from drivers.sandbox.cell import Cell, Ended, Order, inodes
from drivers.sandbox.paths import check_command, check_manifest, checked
from governance.errors import Rejected, Unavailable
from governance.ports import Blobs, CommandResult, Manifest

_TRANSFER_S = 600.0
_ERROR_BYTES = 4_000

T = TypeVar("T")


class CellBox:
    """A `Box` on one cell: one order at a time, so that nothing of the maker's runs while we read."""

    def __init__(self, cell: Cell, blobs: Blobs, threads: Executor, max_mb: int) -> None:
        self.cell = cell
        self.max_mb = max_mb
        self._blobs = blobs
        self._threads = threads
        self._turn = asyncio.Lock()
        self._known: set[str] = set()

    async def run(
        self,
        command: str,
        *,
        timeout_s: float,
        max_bytes: int = 200_000,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """`sh -c command` in the workspace; no process of it is left when this returns.

        Output is both streams as they came, UTF-8 with replacement; more than `max_bytes` of it ends the
        command (`stopped="output"`). Exit codes above 128 mean a signal. Raises `Unavailable`, also when the
        box is gone, and `ValueError` for what no process can be given.
        """
        check_command(command, timeout_s, env or {})
        taken = _Capped(max_bytes)
        order = Order(
            scripts.COMMAND,
            (command,),
            timeout_s=timeout_s,
            stdin=io.BytesIO(stdin) if stdin is not None else None,
            env=env,
        )
        ended = await self._execute(order, taken)
        return CommandResult(
            exit_code=ended.exit_code,
            output=bytes(taken.out).decode("utf-8", "replace"),
            seconds=ended.seconds,
            truncated=taken.full,
            stopped=ended.stopped,
        )

    async def read(self, path: str, *, max_bytes: int) -> bytes:
        """At most the first `max_bytes` of a file; a link is followed only inside the workspace.

        Raises `FileNotFoundError`, `IsADirectoryError`, and `ValueError` for what lies outside or is no file.
        """
        taken = _Capped(max_bytes)
        order = Order(scripts.READ, (checked(path), str(max_bytes)), trusted=True)
        ended = await self._execute(order, taken)
        self._check(ended, path, taken)
        return bytes(taken.out)

    async def write(self, path: str, content: bytes) -> None:
        """Replace or create a file with its directories; a link at the path is replaced, not followed.

        Raises `IsADirectoryError`, `ValueError` (outside) and `OSError` (ENOSPC when the quota is used up).
        """
        plain = checked(path)
        arguments = (plain, posixpath.dirname(plain) or ".", str(len(content)))
        taken = _Capped(_ERROR_BYTES)
        order = Order(scripts.WRITE, arguments, stdin=io.BytesIO(content), trusted=True)
        ended = await self._execute(order, taken)
        self._check(ended, path, taken)

    async def save(self) -> Manifest:
        """The whole volume; every content is in the blob store when this returns.

        Sockets, pipes, devices and names that are not UTF-8 are left out; hard links become files.
        Raises `Rejected` when the files claim more than the quota (sparse files).
        """
        max_bytes = self.max_mb * 1024 * 1024
        with archive.spool() as spool:
            taken = _Spooled(spool, max_bytes + inodes(self.max_mb) * 1536)
            order = Order(scripts.SAVE, timeout_s=_TRANSFER_S, trusted=True)
            ended = await self._execute(order, taken)
            if ended.stopped == "output":
                raise Rejected(
                    f"box '{self.cell.name}'",
                    f"its files claim more than {max_bytes:,} bytes, which only sparse files can. "
                    "Remove them.",
                )
            self._check(ended, ".", taken)
            spool.seek(0)
            try:
                return await archive.unpack(spool, self._blobs, self._known, max_bytes)
            except ValueError as error:
                raise Rejected(f"box '{self.cell.name}'", str(error)) from error

    async def load(self, manifest: Manifest) -> None:
        """Make the volume exactly this. Raises `ValueError` (bad path), `OSError` (quota), `StoreError`."""
        check_manifest(manifest)
        taken = _Capped(_ERROR_BYTES)
        with await archive.pack(manifest, self._blobs) as spool:
            order = Order(scripts.LOAD, timeout_s=_TRANSFER_S, stdin=spool, trusted=True)
            ended = await self._execute(order, taken)
        self._check(ended, ".", taken)
        self._known.update(e.blob for e in manifest.values() if e.mode.startswith("100"))

    async def close(self) -> None:
        """Remove container and volume. Safe to repeat."""
        async with self._turn:
            await asyncio.get_running_loop().run_in_executor(self._threads, self.cell.remove)

    async def _execute(self, order: Order, taken: "_Capped | _Spooled") -> Ended:
        cancel = threading.Event()
        async with self._turn:
            return await uninterrupted(
                self._threads, lambda: self.cell.execute(order, taken.take, cancel), cancel
            )

    def _check(self, ended: Ended, path: str, taken: "_Capped | _Spooled") -> None:
        said = bytes(taken.err).decode("utf-8", "replace").strip()
        if ended.stopped in ("timeout", "cancelled", "memory"):
            raise Unavailable(f"box '{self.cell.name}'", f"{path!r}: ended by {ended.stopped}.")
        match ended.exit_code:
            case 0:
                return
            case scripts.MISSING:
                raise FileNotFoundError(errno.ENOENT, "no such file in the workspace", path)
            case scripts.DIRECTORY:
                raise IsADirectoryError(errno.EISDIR, "is a directory of the workspace", path)
            case scripts.OUTSIDE:
                raise ValueError(
                    f"path {path!r} leads out of the workspace or is neither file nor directory."
                )
            case _ if "No space left" in said:
                raise OSError(errno.ENOSPC, f"the workspace is full ({self.max_mb:,} MB)", path)
            case code:
                raise OSError(errno.EIO, f"exit code {code}: {said}", path)


async def uninterrupted(threads: Executor, work: Callable[[], T], cancel: threading.Event) -> T:
    """Blocking work in a thread; when cancelled, it is told so and waited for before this returns."""
    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        cancel.set()
        await asyncio.wait([future])
        raise


class _Capped:
    """Keeps the first bytes of stdout, and the first few thousand of stderr."""

    def __init__(self, max_bytes: int) -> None:
        self.out, self.err = bytearray(), bytearray()
        self.full = False
        self._max = max_bytes

    def take(self, stream: int, data: bytes) -> bool:
        if stream == 2:
            self.err += data[: _ERROR_BYTES - len(self.err)]
            return True
        room = self._max - len(self.out)
        self.out += data[:room]
        self.full = len(data) > room
        return not self.full


class _Spooled:
    """Keeps stdout in a file, up to a limit."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self.err = bytearray()
        self._file, self._left = file, max_bytes

    def take(self, stream: int, data: bytes) -> bool:
        if stream == 2:
            self.err += data[: _ERROR_BYTES - len(self.err)]
            return True
        self._left -= len(data)
        if self._left >= 0:
            self._file.write(data)
        return self._left >= 0
