"""The journal is the only memory: nothing else is read, nothing is unpickled, and what was changed is not acted on."""

import json
import pickle
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect._internal.result_records import ResultRecord, ResultRecordMetadata
from prefect.client.schemas.objects import State
from prefect.filesystems import LocalFileSystem
from prefect.serializers import PickleSerializer

from governance.parts import short_id
from governance.records import ItemRow
from tests.chaos.lives import Lives
from tests.chaos.stories import LONG_WINDED, TICKETS
from tests.chaos.telling import Telling
from tests.chaos.town import Town

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKET = "NW-101"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("memory")) as running:
        yield running


@pytest.fixture(scope="module")
async def lives(town: Town) -> AsyncIterator[Lives]:
    async with Lives(town.home / "lives", town.environment()) as running:
        yield running


@dataclass(frozen=True)
class Canary:
    """Unpickled, it leaves a file behind."""

    place: Path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.place,)

    @property
    def record(self) -> bytes:
        """It, as Prefect keeps a result: the record itself names pickle as its serializer."""
        metadata = ResultRecordMetadata(
            storage_key="any", serializer=PickleSerializer(picklelib="pickle")
        )
        return ResultRecord(metadata=metadata, result=self).serialize()

    @property
    def sang(self) -> bool:
        return self.place.exists()


async def test_a_planted_pickle_is_never_opened_whatever_prefects_settings_say(
    town: Town, lives: Lives, tmp_path: Path
) -> None:
    unharmed = Telling(town, lives, TICKETS, "memory-unharmed")
    expected = await unharmed.to_the_end()
    keys = [
        e.key for i in await unharmed.store.items() for e in await unharmed.store.entries(i.item)
    ]
    (old,) = await unharmed.store.items()

    canary = Canary(tmp_path / "sang")
    ResultRecord[Any].deserialize(canary.record)
    assert canary.sang, "the plant works where Prefect reads it"
    canary.place.unlink()

    slot = town.slot()
    item = short_id("i", TICKETS.loop, TICKET, short_id("r", TICKETS.loop, slot))
    places = (tmp_path / "local", tmp_path / "block", town.home / "prefect" / "storage")
    planted = [place / key.replace(old.item, item) for place in places for key in keys]
    for file in planted:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(canary.record)
    await town.save("planted", LocalFileSystem(basepath=str(places[1])))

    hostile = {
        "PREFECT_RESULTS_DEFAULT_SERIALIZER": "pickle",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(places[0]),
        "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "local-file-system/planted",
    }
    async with Lives(tmp_path / "lives", {**town.environment(), **hostile}) as theirs:
        telling = Telling(town, theirs, TICKETS, "memory-planted", slot=slot)
        ending = await telling.to_the_end()
    assert (await telling.store.items())[0].item == item, "they lay where it would have looked"
    assert ending.differs(expected) == {}
    assert not canary.sang
    assert all(file.read_bytes() == canary.record for file in planted)
    assert {f for place in places[:2] for f in place.rglob("*") if f.is_file()} == {
        f for f in planted if not f.is_relative_to(places[2])
    }, "and no result of ours lies there"


DAMAGES = {
    "a result": ("UPDATE journal SET result = '{\"text\":\"merged\"}'", "noted when it was written"),
    "a pickle for a result": ("UPDATE journal SET result = :pickle", "noted when it was written"),
    "a digest": (f"UPDATE journal SET result_digest = 'sha256:{'0' * 64}'", "noted when it was written"),
    "arguments": ("UPDATE journal SET args = '{\"a\":1}'", "noted when it was written"),
    "labels": ("UPDATE journal SET labels = '[\"trusted\"]'", "noted when it was written"),
    "what a card shows": ("UPDATE cards SET facts = '{\"process\":\"dead\"}'", "noted when it was written"),
    "the definition": ("UPDATE definitions SET body = body || ' '", "was changed in the store"),
    "a blob, one bit": ("", "was changed on disk"),
    "a blob, gone": ("", "is missing"),
    "a blob, another": ("", "was changed on disk"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
async def test_an_item_whose_record_was_changed_stops_and_says_so(
    town: Town, lives: Lives, tmp_path: Path, what: str
) -> None:
    """A person has approved; what they approved is not made on a memory that nobody can believe."""
    telling = Telling(town, lives, LONG_WINDED, f"damaged-{list(DAMAGES).index(what)}")
    item = await telling.to_the_card()
    canary = Canary(tmp_path / "sang")
    (card,) = await telling.store.cards(item=item.item)
    statement, words = DAMAGES[what]
    if statement:
        change(telling.truth.database, statement, canary)
    else:
        spoil(Path(town.blobs), what)
    effects, billed = telling.truth.effects(), town.bill()["cost_pico_usd"]
    form = {f"card_{card.card}": "approve", "approver": "noor", "reason": ""}
    assert town.api.resume(str(item.flow_run), form)["status"] == "ACCEPT"
    await telling.live("work", item.flow_run)
    await stopped_as_damaged(telling, item, words)
    assert telling.truth.effects() == effects, "nothing more was made"
    assert town.bill()["cost_pico_usd"] == billed, "and nothing more was asked"
    assert not canary.sang
    sent = [n for n in town.receiver.notices if item.run in n["subject"]]
    assert any("stopped (damaged)" in n["body"] for n in sent), "people are told"


async def test_a_heartbeat_whose_record_was_changed_finds_nothing_and_says_so(
    town: Town, lives: Lives, tmp_path: Path
) -> None:
    killed = iter(["before-found:1"])
    telling = Telling(
        town, lives, LONG_WINDED, "damaged-heartbeat", lambda n, flow: next(killed, None)
    )
    await telling.begin()
    await telling.live("heartbeat", telling.heartbeat)
    change(telling.truth.database, DAMAGES["a result"][0], Canary(tmp_path / "sang"))
    await telling.live("heartbeat", telling.heartbeat)
    run = await telling.run()
    assert run.stop is not None
    assert (run.status, run.stop.reason) == ("closed", "damaged")
    state = await town.state_of(telling.heartbeat)
    assert (state.name, state.message) == ("Damaged", run.stop.detail)
    assert await telling.store.items() == ()


async def stopped_as_damaged(telling: Telling, item: ItemRow, words: str) -> None:
    """On the item, in Prefect, and on the state page; and never as done."""
    row = await telling.town.item(item)
    assert row.stop is not None
    assert (row.status, row.stop.reason) == ("stopped", "damaged")
    assert words in row.stop.detail
    state: State[Any] = await telling.town.state_of(str(item.flow_run))
    assert (state.name, state.message, state.is_failed()) == ("Damaged", row.stop.detail, True)
    page = await telling.store.state(item.loop)
    assert page is not None
    assert "damaged: " in page.body.partition("## Ended otherwise")[2]
    assert item.item not in page.body.partition("## Open")[0]


def change(database: Path, statement: str, canary: Canary) -> None:
    """What somebody with the store's file can do to the first answer of a lead."""
    where = " WHERE kind = 'model'" if statement.startswith("UPDATE journal") else ""
    values = {"pickle": json.dumps(pickle.dumps(canary).decode("latin-1"))}
    with sqlite3.connect(database, timeout=10) as db:
        assert db.execute(statement + where, values if ":pickle" in statement else {}).rowcount > 0
    db.close()


def spoil(blobs: Path, what: str) -> None:
    """What somebody with the blobs' directory can do."""
    (blob,) = blobs.glob("??/??/*")
    if what.endswith("gone"):
        blob.unlink()
    elif what.endswith("another"):
        blob.write_text('{"text":"merged"}')
    else:
        content = bytearray(blob.read_bytes())
        content[200] ^= 1
        blob.write_bytes(content)
