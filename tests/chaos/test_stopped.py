"""A process that is stopped, taken for dead and followed by another: what does it do when it goes on?"""

import asyncio
import signal
import time
from collections.abc import Iterable

import pytest

from governance.records import Card, ItemRow
from tasks.job import SEND_WITHIN_MS
from tests.chaos.lives import Life, Lives
from tests.chaos.stories import TICKETS
from tests.chaos.telling import Fate, Telling
from tests.chaos.town import Town

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(400)]


def in_turn(dooms: Iterable[str | None]) -> Fate:
    """One doom for each life of `work`; then everybody lives."""
    left = iter(dooms)
    return lambda number, flow: next(left, None) if flow == "work" else None


async def stopped_at(town: Town, lives: Lives, point: str) -> tuple[Telling, ItemRow, Life]:
    """A story whose comment is approved and whose life stands still at that point of it."""
    telling = Telling(
        town, lives, TICKETS, f"stopped-{point.replace(':', '-')}", in_turn([None, f"{point}:stop"])
    )
    item = await telling.to_the_card()
    await telling.approve(item)
    life = await telling.start("work", item.flow_run)
    await asyncio.wait_for(life.until_stopped(), 60)
    return telling, item, life


async def doubted(telling: Telling, item: ItemRow) -> Card | None:
    """The open card about the comment, if there is one."""
    cards = await telling.store.cards(item=item.item)
    return next((c for c in cards if c.kind == "in_doubt"), None)


async def go_on(life: Life) -> None:
    life.send(signal.SIGCONT)
    await asyncio.wait_for(asyncio.shield(life.ended), 120)


def comments(telling: Telling) -> list[str]:
    """Every comment that went out in this story, by its key; also one that the forge had seen before."""
    calls = telling.town.forge_calls(telling.truth.calls_before)
    return [c["key"] for c in calls if c["tool"] == "comment_ticket"]


async def test_it_starts_no_effect_whose_fence_check_comes_after_the_takeover(
    town: Town, lives: Lives
) -> None:
    telling, item, life = await stopped_at(town, lives, "before-intend:1")
    await telling.recover(str(item.flow_run))
    await telling.go_on()
    before = town.forge_calls(telling.truth.calls_before)
    assert len(comments(telling)) == 1
    rows = await telling.store.ledger(item=item.item)
    await go_on(life)
    assert town.forge_calls(telling.truth.calls_before) == before
    assert await telling.store.ledger(item=item.item) == rows
    row = await telling.store.item(item.item)
    assert row is not None
    assert (row.status, row.stop) == ("done", None)


async def test_stopped_between_check_and_send_it_is_in_doubt_and_not_sent_again(
    town: Town, lives: Lives
) -> None:
    """What remains: a process that was let through and stopped sends its own, once, when it goes on."""
    # The first request of a life is the listing of the tools.
    telling, item, life = await stopped_at(town, lives, "before-tool-send:2")
    await telling.recover(str(item.flow_run))
    await telling.live("work", item.flow_run)
    card = await doubted(telling, item)
    assert card is not None
    assert comments(telling) == [], "whoever followed did not send it again"
    too_early = await telling.store.answer(
        card.card, answer="not-happened", by="noor", reason="", now=time.time_ns() // 1_000_000
    )
    assert too_early.answer is None, "it may still be on its way"

    await go_on(life)
    assert comments(telling) == [card.key]
    settled = await telling.store.card(card.card)
    assert settled is not None
    assert settled.answered_by == "ledger", "its own report settles the doubt"
    await telling.go_on()
    assert comments(telling) == [card.key]
    row = await telling.store.item(item.item)
    assert row is not None
    assert (row.status, row.stop) == ("done", None)


async def test_stopped_for_longer_than_it_may_take_to_send_it_sends_nothing(
    town: Town, lives: Lives
) -> None:
    telling, item, life = await stopped_at(town, lives, "after-intend:1")
    since = time.monotonic()
    await telling.recover(str(item.flow_run))
    await telling.live("work", item.flow_run)
    card = await doubted(telling, item)
    assert card is not None
    await asyncio.sleep(SEND_WITHIN_MS / 1000 + 1 - (time.monotonic() - since))
    await go_on(life)
    assert comments(telling) == []
    settled = await telling.store.card(card.card)
    assert settled is not None
    assert settled.answered_by == "ledger"
    assert "surely did not happen" in str(settled.reason)
    await telling.go_on()
    assert comments(telling) == [card.key]
    tries = [r for r in await telling.store.ledger(item=item.item) if r.key == card.key]
    assert sorted(r.status for r in tries) == ["done", "failed"]
