"""Does content come back by its digest, whole or not at all?"""

import asyncio
import os
import time
from pathlib import Path

import pytest

from drivers.blobs import DirectoryBlobs
from governance.errors import StoreError
from governance.parts import digest


def files(root: Path) -> list[Path]:
    """The blobs; the lock beside them is none."""
    return [p for p in root.rglob("*") if p.is_file() and p.name != ".lock"]


async def test_what_was_put_comes_back_by_its_digest(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    content = bytes(range(256)) * 100
    blob = await blobs.put(content)
    assert blob == digest(content)
    assert await blobs.get(blob) == content
    assert await blobs.get(await blobs.put(b"")) == b""


async def test_putting_twice_is_putting_once(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    await asyncio.gather(*(blobs.put(b"same") for _ in range(20)))
    assert [p.name for p in files(tmp_path)] == [digest(b"same").removeprefix("sha256:")]


async def test_only_the_owner_can_read(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    await DirectoryBlobs(root).put(b"private")
    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_changed_content_is_never_returned(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    blob = await blobs.put(b"true")
    (file,) = files(tmp_path)
    file.write_bytes(b"forged")
    with pytest.raises(StoreError, match="was changed on disk"):
        await blobs.get(blob)


async def test_a_missing_blob_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        await DirectoryBlobs(tmp_path).get(digest(b"never put"))


@pytest.mark.parametrize("name", ["", "sha256:abc", "../../etc/passwd", "sha256:" + "/" * 64])
async def test_a_name_that_is_no_digest_never_reaches_the_file_system(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(StoreError, match="is not a digest"):
        await DirectoryBlobs(tmp_path).get(name)


async def test_a_root_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(StoreError, match="could not be written"):
        await DirectoryBlobs(file / "blobs").put(b"x")


def age(root: Path, seconds: int = 1000) -> None:
    """Every blob was last put so long ago."""
    for file in files(root):
        known = file.stat()
        os.utime(file, (known.st_atime, known.st_mtime - seconds))


async def test_a_sweep_takes_what_nobody_names_and_nobody_put_lately(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    named, forgotten = await blobs.put(b"named"), await blobs.put(b"forgotten")
    age(tmp_path)
    young = await blobs.put(b"young")
    assert await blobs.sweep({named}, int(time.time()) - 500) == (1, len(b"forgotten"))
    assert await blobs.get(named) == b"named"
    assert await blobs.get(young) == b"young"
    with pytest.raises(StoreError, match="is missing"):
        await blobs.get(forgotten)


async def test_putting_again_makes_a_blob_young(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    blob = await blobs.put(b"wanted again")
    age(tmp_path)
    await blobs.put(b"wanted again")
    assert await blobs.sweep(set(), int(time.time()) - 500) == (0, 0)
    assert await blobs.get(blob) == b"wanted again"


async def test_a_sweep_takes_what_a_dead_process_left_half_written(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    blob = await blobs.put(b"whole")
    (place,) = files(tmp_path)
    (place.parent / ".put-dead").write_bytes(b"hal")
    age(tmp_path)
    assert await blobs.sweep({blob}, int(time.time()) - 500) == (1, 3)
    assert files(tmp_path) == [place]


async def test_whatever_is_put_while_a_sweep_goes_on_is_there_afterwards(tmp_path: Path) -> None:
    """Two hundred old blobs are put again while everything old is swept: each one that was put is there."""
    blobs = DirectoryBlobs(tmp_path)
    contents = [b"%d" % n for n in range(200)]
    for content in contents:
        await blobs.put(content)
    age(tmp_path)
    before = int(time.time()) - 500
    putting = asyncio.gather(*(DirectoryBlobs(tmp_path).put(c) for c in contents))
    sweeping = asyncio.gather(*(blobs.sweep(set(), before) for _ in range(3)))
    put, _ = await asyncio.gather(putting, sweeping)
    assert [await blobs.get(blob) for blob in put] == contents
