"""Where does content live, so that its digest alone brings it back?"""

import asyncio
import fcntl
import os
import re
import tempfile
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from governance.errors import Damaged, StoreError
from governance.parts import digest

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class DirectoryBlobs:
    """Blobs as files `<root>/ab/cd/<hex>` of one directory, readable by its owner only.

    Any number of processes may share the directory: a blob appears whole or not at all.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    async def put(self, content: bytes) -> str:
        """Its digest, `sha256:<hex>`, durable when this returns. Raises `StoreError` (disk full, no right)."""
        return await asyncio.to_thread(self._put, content)

    def every(self) -> Iterator[str]:
        """The digest of every blob there is now, as their files are named."""
        for place in sorted(self.root.glob("??/??/*")):
            if _DIGEST.fullmatch(blob := f"sha256:{place.name}"):
                yield blob

    async def get(self, blob: str) -> bytes:
        """The content, checked against its digest. Raises `Damaged` when missing or changed."""
        return await asyncio.to_thread(self._get, blob)

    async def sweep(self, keep: Collection[str], before: int) -> tuple[int, int]:
        """Remove what is not in `keep` and was last put before this Unix second; how many, and their bytes.

        What a process that died left half written goes as well.
        """
        return await asyncio.to_thread(self._sweep, frozenset(keep), before)

    def _sweep(self, keep: frozenset[str], before: int) -> tuple[int, int]:
        count = size = 0
        for directory in sorted(self.root.glob("??/??")):
            # A put either comes before this look and has made its blob young, or finds it gone and writes it.
            with self._turn(fcntl.LOCK_EX):
                for file in directory.iterdir():
                    known = file.stat()
                    if known.st_mtime < before and f"sha256:{file.name}" not in keep:
                        file.unlink()
                        count, size = count + 1, size + known.st_size
        return count, size

    @contextmanager
    def _turn(self, operation: int) -> Generator[None]:
        """Puts share it, a sweep has it alone; the kernel frees it when we die."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, operation)
            yield
        finally:
            os.close(handle)

    def _place(self, blob: str) -> Path:
        if not _DIGEST.fullmatch(blob):
            raise StoreError(
                f"blob {blob!r} is not a digest; it must be 'sha256:' and 64 hex digits."
            )
        name = blob.removeprefix("sha256:")
        return self.root / name[:2] / name[2:4] / name

    def _put(self, content: bytes) -> str:
        blob = digest(content)
        place = self._place(blob)
        try:
            with self._turn(fcntl.LOCK_SH):
                if place.exists():
                    os.utime(place)  # it is wanted again: a sweep must not take it for forgotten
                else:
                    self._write(place, content)
        except OSError as error:
            raise StoreError(
                f"blob {blob!r} ({len(content):,} bytes) could not be written below "
                f"'{self.root}': {error}. Free space or fix the directory's rights, then retry."
            ) from error
        return blob

    def _write(self, place: Path, content: bytes) -> None:
        for directory in (self.root, place.parent.parent, place.parent):
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                synced(directory.parent)
        handle, name = tempfile.mkstemp(prefix=".put-", dir=place.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, place)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        synced(place.parent)

    def _get(self, blob: str) -> bytes:
        try:
            content = self._place(blob).read_bytes()
        except FileNotFoundError as error:
            raise Damaged(
                f"blob {blob!r} is missing below '{self.root}'. Restore it from a backup."
            ) from error
        except OSError as error:
            raise StoreError(f"blob {blob!r} cannot be read: {error}.") from error
        found = digest(content)
        if found != blob:
            raise Damaged(
                f"blob {blob!r} holds content of digest {found!r}: it was changed on disk. "
                "Restore it from a backup."
            )
        return content


def synced(directory: Path) -> None:
    """A rename is durable only once its directory is."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
