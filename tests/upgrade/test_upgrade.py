"""What waits under one release is finished by the next: nothing is made again, and what is on record stays as it was."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.prefect_api import PrefectApi
from demo.world import ROOT
from governance.records import ItemRow
from tests.flows.arranging import hold_items, let_items_go
from tests.flows.farside import bill, calls, merges, propose, requests, until
from tests.flows.telling import told
from tests.upgrade.installed import (
    RELEASES,
    Installation,
    registry_of,
    steps,
    unpacked,
    version_of,
)

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(900)]

ASKING, SORTING = "asking", "sorting"
"""One loop's item waits at its card when the release is replaced, the other's is in the inbox."""


@dataclass
class Site:
    """The installation, and what is seen of it from outside; nothing here opens the store."""

    world: Installation
    api: PrefectApi
    code: dict[int, Path] = field(default_factory=dict[int, Path])
    """Where items' processes had their flow from, by pid."""

    def rows(self, table: str, **where: str) -> list[dict[str, Any]]:
        """Rows as they are in the store's file."""
        place = f"file:{self.world.home / 'store.db'}?mode=ro"
        with closing(sqlite3.connect(place, uri=True, timeout=30)) as db:
            db.row_factory = sqlite3.Row
            wanted = " AND ".join(f"{name} = :{name}" for name in where)
            return [dict(r) for r in db.execute(f"SELECT * FROM {table} WHERE {wanted}", where)]

    def record(self, item: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
        """What is on record for an item, by table and place."""
        return {
            (table, f"{row['key']} {row.get('attempt')}"): row
            for table in ("journal", "ledger")
            for row in self.rows(table, owner=item["item"])
        }

    def watch(self, flow_run: str) -> None:
        """Note whose code the processes of a flow run have, if there are any now."""
        for pid in self.world.processes_of(flow_run) - self.code.keys():
            if path := self.world.code_of(pid, "flows.work"):
                self.code[pid] = path

    async def at_its_card(self) -> dict[str, Any]:
        """Fire the loop that asks, and follow its item until a person can answer."""
        self.api.trigger(f"heartbeat/{ASKING}")

        def look() -> dict[str, Any] | None:
            # The file is there once the first of the release's processes has opened it.
            for item in self.rows("items", loop=ASKING):
                if item["flow_run"]:
                    self.watch(item["flow_run"])
                    if item["status"] == "waiting" and self.api.form(item["flow_run"]):
                        return item
            return None

        return await until("the card", look, 200)

    async def in_the_inbox(self) -> dict[str, Any]:
        """Fire the other loop; its item is dispatched and not begun."""
        hold_items(self.api)
        beat = self.api.trigger(f"heartbeat/{SORTING}")
        await until(
            "the heartbeat's end",
            lambda: self.api.flow_run(beat)["state"]["type"] == "COMPLETED",
            100,
        )
        (item,) = self.rows("items", loop=SORTING)
        assert (item["status"], item["life"]) == ("found", 0)
        assert self.api.flow_run(item["flow_run"])["state"]["type"] == "SCHEDULED"
        return item

    def upgrade(self) -> None:
        """Do what docs/operations.md says, from the stop of the workers on."""
        self.world.processes.pop("worker-0").stop()
        here = {
            "sqlite:////srv/looprail/store.db": self.world.store_url,
            "/srv/looprail/blobs": self.world.blobs,
            "/backups/before-upgrade": str(self.world.home / "backup"),
        }
        for words in steps():
            if words[0] == "make":
                self.world.code = None
            elif words[:3] == ["prefect", "worker", "start"]:
                self.world.starts("worker-1", *words)
            else:
                self.world.types(*(here.get(word, word) for word in words))


@pytest.fixture(params=sorted(RELEASES.glob("*.whl")), ids=version_of)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """An earlier release at work."""
    version = version_of(request.param)
    registry = registry_of(version, tmp_path / "registry", ASKING, SORTING)
    world = Installation(tmp_path / "world", registry=registry)
    world.code = unpacked(request.param, tmp_path / "release")
    with world:
        api = PrefectApi(world.api_url, world.keys.prefect)
        yield Site(world, api)
        api.close()


async def test_what_waits_under_a_release_is_finished_by_the_next(site: Site) -> None:
    world, release = site.world, site.world.code
    assert release is not None
    number = propose(world, "a-change")
    waiting = await site.at_its_card()
    fresh = await site.in_the_inbox()
    assert set(site.code.values()) == {release / "flows" / "work.py"}

    record, asked = site.record(waiting), requests(world, ASKING)
    assert {table for table, _ in record} == {"journal", "ledger"}
    assert asked
    assert merges(world) == []

    site.upgrade()
    assert (world.home / "backup" / "manifest.json").exists()
    site.code.clear()
    await finished(site, waiting, fresh, number)
    assert set(site.code.values()) == {ROOT / "flows" / "work.py"}

    now = site.record(waiting)
    assert {
        place: {name: now[place][name] for name in row} for place, row in record.items()
    } == record, "what the release wrote is as it was"
    assert requests(world, ASKING)[: len(asked)] == asked


async def finished(site: Site, waiting: dict[str, Any], fresh: dict[str, Any], number: int) -> None:
    """A person says yes, the inbox is worked off, and the far side has got each thing once."""
    world = site.world
    with told(world, ASKING) as story:
        items = [await story.store.item(str(row["item"])) for row in (waiting, fresh)]
        item, other = (i for i in items if i)
        (card,) = await story.cards((item,))
        story.approve(item, (card,))
        let_items_go(story.api)

        async def both() -> list[ItemRow] | None:
            for row in (waiting, fresh):
                site.watch(row["flow_run"])
            rows = [i for row in (item, other) if (i := await story.store.item(row.item))]
            return rows if all(r.status in ("done", "stopped") for r in rows) else None

        done = await until("the end of both", both, 200)
        assert [(i.status, i.stop) for i in done] == [("done", None)] * 2
        assert [i.definition for i in done] == [waiting["definition"], fresh["definition"]]

        (merge,) = merges(world)
        assert (merge["key"], merge["arguments"]["pull_number"]) == (card.key, number)
        keys = [c["key"] for c in calls(world) if c["key"]]
        assert len(set(keys)) == len(keys) >= 3
        assert not any(c["replayed"] for c in calls(world))
        sent = [json.dumps(body, sort_keys=True) for body in requests(world)]
        assert len(set(sent)) == len(sent), "no model was asked the same twice"

        rows = [r for i in done for r in await story.store.ledger(run=i.run)]
        assert {(r.attempt, r.status) for r in rows} == {(1, "done")}
        assert sum(r.cost or 0 for r in rows) == bill(world)["cost_pico_usd"]
