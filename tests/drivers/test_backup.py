"""Does a backup taken in the middle bring back everything, and does what came after it count as in doubt?"""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.backup import MANIFEST, checked, put_back, take
from drivers.store.restored import FENCES_AHEAD, Marked
from drivers.store.store import SqlStore
from governance.effects import Admitted, InDoubt, Intent, Recorded
from governance.errors import StoreError
from governance.records import Budget
from tests.drivers.store.story import RUN, Story, settled, store_in, usd

TAKEN, NOW = 10_000, 20_000
LARGE = {"text": "x" * 20_000}
MERGE = {"name": "github.merge_pull_request", "repeatable": False, "args": {"number": 3}}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return tmp_path / "old"


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


async def under_way(directory: Path) -> Story:
    """A store with one item claimed, one effect done with a large result, and one try open."""
    story = Story(store_in(directory))
    await story.open_run(RUN, "06:00", Budget("run:r1:usd", RUN, 100))
    (item,) = await story.find("a")
    await story.claim(item.item)
    await story.admit(0)
    await story.store.done(story.place(0), 1, settled(result=LARGE))
    await story.admit(1, usd(5))
    return story


async def backed_up(directory: Path, into: Path) -> None:
    url = f"sqlite://{directory}/store.db"
    made = await take(url, directory / "blobs", into, prefect=None, now=TAKEN)
    assert made == await checked(into)
    assert len(made.blobs) == 1


async def brought_back(backup: Path, directory: Path) -> tuple[Story, Marked]:
    directory.mkdir()
    marked = await put_back(
        backup,
        f"sqlite://{directory}/store.db",
        directory / "blobs",
        prefect=None,
        by="noor",
        now=NOW,
    )
    story = Story(store_in(directory))
    (item,) = marked.items
    await story.claim(item, flow_run="flow-2", now=NOW)
    return story, marked


async def test_a_backup_in_the_middle_brings_back_what_was_done(
    old: Path, new: Path, tmp_path: Path
) -> None:
    before = await under_way(old)
    await backed_up(old, tmp_path / "b")
    await before.store.done(
        before.place(1), 1, settled(usd(3), result={"text": "after the backup"})
    )

    story, marked = await brought_back(tmp_path / "b", new)
    assert marked == Marked(1, (before.item,), ())
    first, second = await story.store.entries(story.item)
    assert (first.status, first.result, second.status) == ("done", LARGE, "intended")
    assert (await story.store.run(RUN)).open_items == 1
    assert next(a["what"] for a in await story.store.audit()) == "store restored"


async def test_old_processes_hold_no_fence_of_a_restored_store(
    old: Path, new: Path, tmp_path: Path
) -> None:
    before = await under_way(old)
    await backed_up(old, tmp_path / "b")
    for n in range(3):
        await before.claim(flow_run="flow-1", now=5000 + n)
    story, _ = await brought_back(tmp_path / "b", new)
    assert story.fence > FENCES_AHEAD > before.fence


async def test_what_was_open_is_dispatched_anew_and_the_old_flow_run_gets_nothing(
    old: Path, new: Path, tmp_path: Path
) -> None:
    before = await under_way(old)
    await backed_up(old, tmp_path / "b")
    story, _ = await brought_back(tmp_path / "b", new)
    due = [o for o in await story.store.outbox() if o.kind == "dispatch"]
    assert [o.key for o in due] == [f"triage-{before.item}-restored-1"]
    refused = await story.store.claim(
        story.item, flow_run="flow-1", now=NOW, lease=NOW + 1, max_lives=9
    )
    assert "belongs to flow run 'flow-2'" in refused.stop.detail


async def test_an_effect_that_may_not_be_repeated_is_put_before_a_person_first(
    old: Path, new: Path, tmp_path: Path
) -> None:
    await under_way(old)
    await backed_up(old, tmp_path / "b")
    story, _ = await brought_back(tmp_path / "b", new)
    merge = story.intent(2, now=NOW, **MERGE)
    doubt = await story.store.intend(merge)
    assert isinstance(doubt, InDoubt)
    assert await story.store.intend(merge) == doubt
    card = await story.store.card(doubt.card)
    assert card is not None
    assert card.kind == "in_doubt"
    assert "restored from a backup" in card.why
    (row,) = [r for r in await story.store.ledger(item=story.item) if r.key == merge.place.key]
    assert (row.status, row.error, row.cost, row.cost_status) == (
        "unknown",
        "restored-1",
        None,
        "open",
    )

    await story.store.answer(
        doubt.card, answer="not-happened", by="noor", reason="I looked", now=row_over(merge)
    )
    assert await story.store.intend(merge) == Admitted(2, (await newest(story.store, merge)))
    await story.store.fail(
        merge.place, 2, status="failed", error="unavailable", attributes={}, now=NOW
    )
    assert isinstance(await story.store.intend(merge), Admitted), "asked once per effect"


async def newest(store: SqlStore, intent: Intent) -> str:
    rows = [r for r in await store.ledger(item=intent.place.owner) if r.key == intent.place.key]
    return max(rows, key=lambda r: r.attempt).span


def row_over(intent: Intent) -> int:
    """A moment when the lost try can be on its way no more."""
    return intent.send_by + 1


async def test_reads_and_what_is_done_ask_nobody(old: Path, new: Path, tmp_path: Path) -> None:
    await under_way(old)
    await backed_up(old, tmp_path / "b")
    story, _ = await brought_back(tmp_path / "b", new)
    done = await story.store.intend(story.intent(0, now=NOW))
    assert isinstance(done, Recorded)
    assert done.result == LARGE
    again = await story.store.intend(story.intent(1, usd(5), now=NOW))
    assert isinstance(again, Admitted)
    assert again.attempt == 2, "the try that was open stays on the ledger"
    assert isinstance(await story.store.intend(story.intent(3, now=NOW)), Admitted)


async def test_an_item_found_after_the_restore_is_like_any_other(
    old: Path, new: Path, tmp_path: Path
) -> None:
    await under_way(old)
    await backed_up(old, tmp_path / "b")
    story, _ = await brought_back(tmp_path / "b", new)
    await story.open_run("r2", "07:00")
    (item,) = await story.find("b", run="r2")
    await story.claim(item.item, flow_run="flow-3", now=NOW)
    place = replace(story.place(0), run="r2")
    assert isinstance(
        await story.store.intend(story.intent(0, now=NOW, **MERGE, place=place)), Admitted
    )


async def test_a_heartbeat_that_was_under_way_is_closed(
    old: Path, new: Path, tmp_path: Path
) -> None:
    before = await under_way(old)
    await before.open_run("r2", "07:00")
    await backed_up(old, tmp_path / "b")
    story, marked = await brought_back(tmp_path / "b", new)
    assert marked.runs == ("r2",)
    run = await story.store.run("r2")
    assert run is not None
    assert run.stop is not None
    assert (run.status, run.stop.reason) == ("closed", "cancelled")


@pytest.mark.parametrize("what", ["database", "blob", "missing blob", "manifest"])
async def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_written(
    old: Path, new: Path, tmp_path: Path, what: str
) -> None:
    await under_way(old)
    backup = tmp_path / "b"
    await backed_up(old, backup)
    (blob,) = (backup / "blobs").glob("??/??/*")
    match what:
        case "database":
            flip(backup / "store.db", 5000)
        case "blob":
            flip(blob, 100)
        case "missing blob":
            blob.unlink()
        case _:
            (backup / MANIFEST).write_text("{")
    new.mkdir()
    with pytest.raises(StoreError, match=r"holds|missing|no whole backup"):
        await put_back(
            backup, f"sqlite://{new}/store.db", new / "blobs", prefect=None, by="noor", now=NOW
        )
    assert list(new.iterdir()) == []


async def test_nothing_is_ever_overwritten(old: Path, new: Path, tmp_path: Path) -> None:
    await under_way(old)
    await backed_up(old, tmp_path / "b")
    for side in ("", "-wal"):
        target = new / side.strip("-") / "store.db"
        target.parent.mkdir(parents=True)
        there = target.with_name(f"store.db{side}")
        there.write_bytes(b"somebody's")
        with pytest.raises(StoreError, match=r"is there already; nothing was restored"):
            await put_back(
                tmp_path / "b", f"sqlite://{target}", new / "x", prefect=None, by="noor", now=NOW
            )
        assert there.read_bytes() == b"somebody's"
    with pytest.raises(StoreError, match=r"is not empty"):
        await take(f"sqlite://{old}/store.db", old / "blobs", tmp_path / "b", prefect=None, now=NOW)


async def test_prefects_own_database_comes_along(old: Path, new: Path, tmp_path: Path) -> None:
    await under_way(old)
    prefect = tmp_path / "prefect.db"
    with sqlite3.connect(prefect) as db:
        db.execute("CREATE TABLE flow_run (id TEXT)")
        db.execute("INSERT INTO flow_run VALUES ('f1')")
    db.close()
    url = f"sqlite://{old}/store.db"
    made = await take(url, old / "blobs", tmp_path / "b", prefect=prefect, now=TAKEN)
    assert sorted(made.files) == ["prefect.db", "store.db"]
    await put_back(
        tmp_path / "b", f"sqlite://{new}/store.db", new / "blobs", prefect=new / "prefect.db",
        by="noor", now=NOW,
    )  # fmt: skip
    with sqlite3.connect(new / "prefect.db") as db:
        assert db.execute("SELECT id FROM flow_run").fetchall() == [("f1",)]
    db.close()


def flip(path: Path, at: int) -> None:
    """One bit of a file is another."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
