"""What is due is sent: once, whoever sends it, and past what cannot be sent."""

import asyncio
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from governance.records import ItemRow, Outgoing
from tasks.outbox import drain
from tests.drivers.store.story import Story, card_for, store_in


async def found_in(directory: Path) -> tuple[Story, ItemRow]:
    """A store there, and an item in its inbox."""
    told = Story(store_in(directory))
    await told.open_run()
    (item,) = await told.find("a")
    return told, item


async def test_a_notice_that_several_drains_find_at_once_is_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPRAIL_HOME", str(tmp_path / "home"))
    told, item = await found_in(tmp_path)
    await told.claim(item.item)
    await told.store.ask(card_for(told.intent(1)), notice={"card": "c1"}, fence=1)
    dispatch = next(d for d in await told.store.outbox() if d.kind == "dispatch")
    await told.store.sent(dispatch.kind, dispatch.key, now=1, flow_run="f1")
    arrived: list[str] = []

    async def webhook(world: Any, due: Outgoing) -> None:
        """The far side takes its time, so that every drain has found the notice before the first is noted as sent."""
        await asyncio.sleep(0.3)
        arrived.append(due.key)

    monkeypatch.setattr("tasks.outbox.notify", webhook)
    worlds: list[Any] = [SimpleNamespace(store=store_in(tmp_path)) for _ in range(3)]
    assert sorted(await asyncio.gather(*(drain(world) for world in worlds))) == [0, 0, 1]
    assert len(arrived) == 1
    for each in (told, *worlds):
        each.store.disconnect()


async def test_an_item_whose_card_was_changed_is_not_woken_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPRAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tasks.notices.emit", AsyncMock())
    told, item = await found_in(tmp_path)
    await told.store.sent("dispatch", f"{item.loop}-{item.item}-0", now=1, flow_run="flow-1")
    await told.claim(item.item)
    card = card_for(told.intent(1))
    await told.store.ask(card, notice={"card": "c1"}, fence=told.fence)
    await told.store.posted(item.item, fence=told.fence, now=3000)
    await told.store.answer("c1", answer="reject", by="noor", reason="no", now=4000)
    with sqlite3.connect(tmp_path / "store.db", timeout=10) as db:
        db.execute("UPDATE cards SET answer = 'approve'")
    db.close()
    organisation = SimpleNamespace(alerts=())
    world: Any = SimpleNamespace(
        store=told.store, registry=SimpleNamespace(organisation=organisation)
    )
    assert await drain(world) == 1, "its wake-up; the notice about the card cannot be worded"
    row = await told.store.item(item.item)
    assert row is not None
    assert row.stop is not None
    assert (row.status, row.stop.reason) == ("stopped", "damaged")
    assert await drain(world) == 1, "the notice that its run is over"
    assert [due.key for due in await told.store.outbox()] == ["c1"]
    told.store.disconnect()
