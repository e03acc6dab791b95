"""Does a person get one notice when several processes send what is due at the same moment?"""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from governance.records import Outgoing
from tasks.outbox import drain
from tests.drivers.store.story import Story, card_for, store_in


async def test_a_notice_that_several_drains_find_at_once_is_sent_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPRAIL_HOME", str(tmp_path / "home"))
    told = Story(store_in(tmp_path))
    await told.open_run()
    (item,) = await told.find("a")
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
