"""Blobs go when nothing names them, and none goes that a workspace's manifest names."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from drivers.blobs import DirectoryBlobs
from governance.errors import StoreError
from governance.parts import canonical
from tasks.retention import sweep
from tests.drivers.store.story import RUN, Story, settled, store_in

OLD, BEFORE = 1000, 2000


@pytest.fixture
async def story(tmp_path: Path) -> Any:
    told = Story(store_in(tmp_path))
    await told.open_run()
    (item,) = await told.find("a")
    await told.claim(item.item)
    yield told
    told.store.disconnect()


def world(story: Story, blobs: DirectoryBlobs) -> Any:
    return cast(Any, SimpleNamespace(store=story.store, blobs=blobs))


def make_old(blobs: DirectoryBlobs) -> None:
    for file in blobs.root.glob("??/??/*"):
        os.utime(file, (OLD, OLD))


async def saved(story: Story, blobs: DirectoryBlobs, *contents: bytes) -> str:
    """An effect whose workspace was saved with these files and a link."""
    spelled = {f"f{n}": ["100644", await blobs.put(c)] for n, c in enumerate(contents)}
    state = await blobs.put(canonical({**spelled, "link": ["120000", "f0"]}).encode())
    admitted = await story.admit(0)
    await story.store.done(story.place(0), admitted.attempt, settled(state=state))
    return state


async def test_a_saved_workspace_is_kept_whole_and_what_nothing_names_goes(
    story: Story, tmp_path: Path
) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    state = await saved(story, blobs, b"one", b"two")
    orphan = await blobs.put(b"of nobody")
    make_old(blobs)
    assert await sweep(world(story, blobs), BEFORE) == (1, len(b"of nobody"))
    assert await blobs.get(state)
    assert [await blobs.get(await blobs.put(c)) for c in (b"one", b"two")] == [b"one", b"two"]
    with pytest.raises(StoreError, match="is missing"):
        await blobs.get(orphan)


async def test_a_manifest_that_cannot_be_read_keeps_everything(
    story: Story, tmp_path: Path
) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    state = await saved(story, blobs, b"one")
    orphan = await blobs.put(b"of nobody")
    make_old(blobs)
    name = state.removeprefix("sha256:")
    (blobs.root / name[:2] / name[2:4] / name).write_bytes(b"forged")
    with pytest.raises(StoreError, match="was changed on disk"):
        await sweep(world(story, blobs), BEFORE)
    assert await blobs.get(orphan) == b"of nobody"


async def test_a_workspace_goes_with_the_content_of_its_item(story: Story, tmp_path: Path) -> None:
    blobs = DirectoryBlobs(tmp_path / "blobs")
    state = await saved(story, blobs, b"one")
    make_old(blobs)
    await story.store.close(
        story.item, fence=1, status="done", outcome={}, stop=None, state="#", seen=1, now=9000
    )
    await story.store.forget(9001)
    removed, _ = await sweep(world(story, blobs), BEFORE)
    assert removed == 2
    with pytest.raises(StoreError, match="is missing"):
        await blobs.get(state)
    assert (await story.store.ledger(run=RUN))[0].status == "done"
