"""Do large values come back whole, and where do they live?"""

from pathlib import Path

import pytest

from drivers.store.bodies import INLINE_BYTES
from governance.effects import Recorded
from governance.errors import StoreError
from governance.parts import canonical, digest
from tests.drivers.store.homes import Home
from tests.drivers.store.story import Story, card_for, settled

BIG = {"text": "ä" * INLINE_BYTES}


def _blobs(directory: Path) -> set[str]:
    return {"sha256:" + p.name for p in (directory / "blobs").glob("??/??/*")}


async def test_a_large_result_is_a_blob_and_reads_like_any_other(
    story: Story, tmp_path: Path
) -> None:
    await story.admit(0)
    done = await story.store.done(story.place(0), 1, settled(result=BIG))
    assert done.result == BIG
    assert _blobs(tmp_path) == {digest(BIG)}
    again = await story.store.intend(story.intent(0))
    assert isinstance(again, Recorded)
    assert again.result == BIG
    (entry,) = await story.store.entries(story.item)
    assert entry.result == BIG
    claimed = await story.claim(now=4000)
    assert claimed.journal[0].result == BIG


async def test_large_arguments_are_compared_and_given_back(story: Story, tmp_path: Path) -> None:
    intent = story.intent(0, args=BIG)
    card = await story.store.ask(card_for(intent, diff="+" * 10_000), notice={}, fence=1)
    assert (card.arguments, card.diff) == (BIG, "+" * 10_000)
    assert _blobs(tmp_path) == {digest(BIG), digest(canonical("+" * 10_000))}
    await story.store.answer(card.card, answer="approve", by="noor", reason="", now=5)
    await story.admit(0, args=BIG, card=card.card)
    done = await story.store.done(story.place(0), 1, settled())
    assert done.args == BIG


@pytest.mark.parametrize(("size", "blobs"), [(INLINE_BYTES, 0), (INLINE_BYTES + 1, 1)])
async def test_eight_kilobytes_still_fit_in_the_row(
    story: Story, tmp_path: Path, size: int, blobs: int
) -> None:
    result = {"t": ""}
    room = size - len(canonical(result))
    result["t"] = "ä" * (room // 2) + "x" * (room % 2)
    await story.admit(0)
    await story.store.done(story.place(0), 1, settled(result=result))
    assert len(_blobs(tmp_path)) == blobs


async def test_a_diff_that_looks_like_a_digest_is_still_a_diff(story: Story) -> None:
    diff = "sha256:" + "0" * 64
    card = await story.store.ask(card_for(story.intent(0), diff=diff), notice={}, fence=1)
    assert card.diff == diff


async def test_a_result_whose_blob_is_gone_is_an_error_and_never_empty(
    story: Story, tmp_path: Path
) -> None:
    await story.admit(0)
    await story.store.done(story.place(0), 1, settled(result=BIG))
    for path in (tmp_path / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(StoreError, match="is missing below"):
        await story.store.entries(story.item)


async def test_a_store_reads_what_another_process_left(story: Story, home: Home) -> None:
    await story.admit(0)
    await story.store.done(story.place(0), 1, settled(result=BIG))
    story.store.disconnect()
    other = home.open()
    (entry,) = await other.entries(story.item)
    assert entry.result == BIG
    other.disconnect()
