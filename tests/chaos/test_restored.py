"""Restored from a backup taken in the middle, while the first history went on: what happens twice?"""

from pathlib import Path

import pytest

from drivers.backup import put_back, take
from governance.records import ItemRow
from tests.chaos.lives import Lives
from tests.chaos.stories import TICKETS
from tests.chaos.telling import Telling
from tests.chaos.test_points import unharmed_once
from tests.chaos.town import Town
from tests.chaos.truth import ending_of

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

NOW = 2_000_000_000_000


async def at_the_card(town: Town, lives: Lives, name: str, backup: Path) -> tuple[Telling, ItemRow]:
    """A story that waits for a person, and a backup of that moment."""
    telling = Telling(town, lives, TICKETS, name)
    item = await telling.to_the_card()
    await take(town.store_url, Path(town.blobs), backup, prefect=None, now=NOW)
    return telling, item


async def restored(telling: Telling, backup: Path) -> None:
    """The story goes on from its backup."""
    town = telling.town
    await town.move(f"{telling.name}-restored")
    await put_back(backup, town.store_url, Path(town.blobs), prefect=None, by="noor", now=NOW)
    await telling.go_on()
    await telling.truth.check_effects(telling.store)


async def test_what_the_lost_history_did_is_not_done_again(
    town: Town, lives: Lives, tmp_path: Path
) -> None:
    telling, item = await at_the_card(town, lives, "lost-history-did", tmp_path / "b")
    await telling.go_on()
    done = telling.truth.effects()
    assert sorted(c["tool"] for c in done) == ["comment_ticket", "label_ticket"]

    await restored(telling, tmp_path / "b")
    assert telling.truth.effects() == done
    assert telling.vouched == 1, "a person was asked, who looked at the far side"
    row = await telling.store.item(item.item)
    assert row is not None
    assert (row.status, row.stop) == ("done", None)


async def test_what_the_lost_history_did_not_do_is_done_once_a_person_says_so(
    town: Town, lives: Lives, tmp_path: Path
) -> None:
    _, expected = await unharmed_once(town, lives, TICKETS)
    telling, _ = await at_the_card(town, lives, "lost-history-did-not", tmp_path / "b")
    await restored(telling, tmp_path / "b")
    assert telling.vouched == 0
    ending = await ending_of(town, telling.store, await telling.run(), telling.truth)
    assert ending.differs(expected) == {}
    (card,) = [c for c in await telling.store.cards(open_only=False) if c.kind == "in_doubt"]
    assert (card.answer, card.used_by) == ("not-happened", card.key)
