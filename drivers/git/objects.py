"""How do files travel between a git repository and the blob store?"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

from drivers.git.process import Git, feed
from governance.errors import Unavailable
from governance.ports import Blobs, FileEntry

_BATCH_BYTES = 8_000_000
_AT_ONCE = 4


@dataclass(frozen=True)
class TreeEntry:
    """One line of `git ls-tree -r`."""

    mode: str
    oid: str


class Objects:
    """A repository's objects, with a memory of which object is which blob."""

    def __init__(self, git: Git, blobs: Blobs) -> None:
        self._git, self._blobs = git, blobs
        self._digests: dict[str, str] = {}
        self._oids: dict[str, str] = {}

    async def entries(self, tree: str) -> dict[bytes, TreeEntry]:
        """Every file, link and submodule of a tree by its path, as bytes."""
        done = await self._git.call("ls-tree", "-r", "-z", "--full-tree", tree)
        found: dict[bytes, TreeEntry] = {}
        for line in done.out.split(b"\0"):
            if line:
                about, _, path = line.partition(b"\t")
                mode, _, oid = about.decode().split(" ")
                found[path] = TreeEntry(mode, oid)
        return found

    async def manifest(self, entries: Mapping[bytes, TreeEntry]) -> dict[str, FileEntry]:
        """Files and links, contents in the blob store; without submodules and names that are not UTF-8."""
        named = {name: entry for path, entry in entries.items() if (name := _text(path))}
        files = {name: entry.oid for name, entry in named.items() if entry.mode.startswith("100")}
        links = {name: entry.oid for name, entry in named.items() if entry.mode == "120000"}
        await self._take(set(files.values()))
        targets = await self._targets(set(links.values()))
        found = {
            name: FileEntry(named[name].mode, self._digests[oid]) for name, oid in files.items()
        } | {
            name: FileEntry("120000", target)
            for name, oid in links.items()
            if (target := targets[oid])
        }
        return dict(sorted(found.items()))

    async def oids(self, entries: Sequence[FileEntry]) -> list[str]:
        """The objects of files and links, written where the repository has none. No filter ever runs."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: FileEntry) -> str:
            async with slots:
                return await self._oid(entry)

        return await asyncio.gather(*(one(entry) for entry in entries))

    async def _oid(self, entry: FileEntry) -> str:
        if entry.mode == "120000":
            return await self._hash(entry.blob.encode())
        if entry.blob not in self._oids:
            self._remember(await self._hash(await self._blobs.get(entry.blob)), entry.blob)
        return self._oids[entry.blob]

    async def _hash(self, content: bytes) -> str:
        arguments = ("hash-object", "-w", "-t", "blob", "--stdin", "--no-filters")
        return (await self._git.call(*arguments, stdin=content)).out.decode().strip()

    async def _take(self, oids: set[str]) -> None:
        batch: dict[str, bytes] = {}
        async for oid, content in self._contents(sorted(oids - self._digests.keys())):
            batch[oid] = content
            if sum(map(len, batch.values())) > _BATCH_BYTES or len(batch) >= 64:
                await self._store(batch)
                batch = {}
        await self._store(batch)

    async def _store(self, batch: Mapping[str, bytes]) -> None:
        stored = await asyncio.gather(*(self._blobs.put(content) for content in batch.values()))
        for oid, blob in zip(batch, stored, strict=True):
            self._remember(oid, blob)

    def _remember(self, oid: str, blob: str) -> None:
        self._digests[oid], self._oids[blob] = blob, oid

    async def _targets(self, oids: set[str]) -> dict[str, str | None]:
        return {oid: _text(content) async for oid, content in self._contents(sorted(oids))}

    async def _contents(self, oids: Iterable[str]) -> AsyncIterator[tuple[str, bytes]]:
        wanted = list(oids)
        if not wanted:
            return
        async with self._git.started("cat-file", "--batch") as process:
            feeding = asyncio.create_task(feed(process, (f"{oid}\n".encode() for oid in wanted)))
            try:
                for oid in wanted:
                    yield oid, await _next(process, oid)
                await process.wait()
            finally:
                feeding.cancel()
                await asyncio.wait([feeding])


async def _next(process: asyncio.subprocess.Process, oid: str) -> bytes:
    assert process.stdout is not None
    try:
        head = (await process.stdout.readline()).decode().split()
        if len(head) != 3:
            raise Unavailable(f"git object '{oid}'", f"cannot be read: {' '.join(head)!r}")
        content = await process.stdout.readexactly(int(head[2]))
        await process.stdout.readexactly(1)
    except asyncio.IncompleteReadError as error:
        raise Unavailable(f"git object '{oid}'", "git ended while it was read.") from error
    return content


def _text(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None
