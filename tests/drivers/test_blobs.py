"""Does content come back by its digest, whole or not at all?"""

import asyncio
from pathlib import Path

import pytest

from drivers.blobs import DirectoryBlobs
from governance.errors import StoreError
from governance.parts import digest


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
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [
        digest(b"same").removeprefix("sha256:")
    ]


async def test_only_the_owner_can_read(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    await DirectoryBlobs(root).put(b"private")
    for path in (root, *root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


async def test_changed_content_is_never_returned(tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path)
    blob = await blobs.put(b"true")
    (file,) = (p for p in tmp_path.rglob("*") if p.is_file())
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
