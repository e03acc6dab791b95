"""How does a workspace travel between a box and the blob store?

As tar, which the host reads as a stream of names and bytes: nothing of it is ever extracted to a disk.
"""

import asyncio
import io
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from drivers.sandbox.paths import checked
from governance.parts import digest
from governance.ports import Blobs, FileEntry, Manifest

_BATCH_FILES = 64
_BATCH_BYTES = 8_000_000
_IN_MEMORY = 32_000_000

_TYPES = {"120000": tarfile.SYMTYPE, "040000": tarfile.DIRTYPE}


def spool() -> IO[bytes]:
    """A file for a tar in passing: in memory while small, else an unnamed file on disk."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


async def unpack(archive: IO[bytes], blobs: Blobs, known: set[str], max_bytes: int) -> Manifest:
    """The manifest of a tar, contents put into the store unless their digest is in `known`, which grows.

    Sockets, pipes, devices and names that are not UTF-8 are left out. Raises `ValueError` when the files
    claim more than `max_bytes` together: sparse files take no space in the box, but would here.
    """
    manifest: dict[str, FileEntry] = {}
    with tarfile.open(fileobj=archive, mode="r:") as tar:
        members = _members(tar, max_bytes)
        while batch := await asyncio.to_thread(_batch, tar, members, known):
            fresh = {entry.blob: content for _, entry, content in batch if content is not None}
            await asyncio.gather(*(blobs.put(content) for content in fresh.values()))
            known.update(fresh)
            manifest.update((path, entry) for path, entry, _ in batch)
    return dict(sorted(manifest.items()))


def _members(tar: tarfile.TarFile, max_bytes: int) -> Iterator[tuple[str, tarfile.TarInfo]]:
    total = 0
    while (member := tar.next()) is not None:
        # tarfile remembers every member it has seen; 200,000 of them would stay in memory.
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]
        total += member.size
        if total > max_bytes:
            raise ValueError(
                f"the files of the workspace claim more than {max_bytes:,} bytes together, "
                "which only sparse files can. Remove them."
            )
        if member.name not in (".", "./") and _kept(member):
            yield checked(member.name), member


def _kept(member: tarfile.TarInfo) -> bool:
    try:
        (member.name + member.linkname).encode()
    except UnicodeEncodeError:
        return False
    return member.isreg() or member.isdir() or member.issym()


def _batch(
    tar: tarfile.TarFile, members: Iterable[tuple[str, tarfile.TarInfo]], known: set[str]
) -> list[tuple[str, FileEntry, bytes | None]]:
    batch: list[tuple[str, FileEntry, bytes | None]] = []
    size = 0
    for path, member in members:
        entry, content = _entry(tar, member)
        fresh = content if entry.blob not in known else None
        batch.append((path, entry, fresh))
        size += len(fresh or b"")
        if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
            break
    return batch


def _entry(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[FileEntry, bytes | None]:
    if member.isdir():
        return FileEntry("040000", ""), None
    if member.issym():
        return FileEntry("120000", member.linkname), None
    file = tar.extractfile(member)
    content = file.read() if file is not None else b""
    mode = "100755" if member.mode & 0o100 else "100644"
    return FileEntry(mode, digest(content)), content


async def pack(manifest: Manifest, blobs: Blobs) -> IO[bytes]:
    """A tar of the manifest, rewound. Raises `StoreError` when a content is missing."""
    archive = spool()
    paths = sorted(manifest)
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for start in range(0, len(paths), _BATCH_FILES):
            batch = {path: manifest[path] for path in paths[start : start + _BATCH_FILES]}
            contents = await _contents(batch, blobs)
            await asyncio.to_thread(_add, tar, batch, contents)
    archive.seek(0)
    return archive


async def _contents(batch: Mapping[str, FileEntry], blobs: Blobs) -> dict[str, bytes]:
    wanted = {entry.blob for entry in batch.values() if entry.mode.startswith("100")}
    found = await asyncio.gather(*(blobs.get(blob) for blob in wanted))
    return dict(zip(wanted, found, strict=True))


def _add(
    tar: tarfile.TarFile, batch: Mapping[str, FileEntry], contents: Mapping[str, bytes]
) -> None:
    for path, entry in batch.items():
        member = tarfile.TarInfo(path)
        member.mode = 0o644 if entry.mode == "100644" else 0o755
        member.type = _TYPES.get(entry.mode, tarfile.REGTYPE)
        if entry.mode == "120000":
            member.linkname = entry.blob
        if member.type == tarfile.REGTYPE:
            content = contents[entry.blob]
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        else:
            tar.addfile(member)
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]
