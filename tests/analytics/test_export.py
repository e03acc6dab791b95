"""The lake is a function of the ledger, whatever was exported when, and nothing else is in it."""

import asyncio
import hashlib
import json
import os
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.export import export
from analytics.lake import Lake
from analytics.schema import EVIDENCE, ITEMS, MONEY, RUNS, SPANS
from drivers.store.store import SqlStore
from governance.conversation import Usage
from governance.effects import Settlement
from governance.errors import StoreError
from governance.parts import PICO
from tests.analytics.conftest import Told, store_in
from tests.analytics.golden import SECRET_TEXT, Ledger, at, night_fix_accepted, tell, tell_all


def files(lake: Lake) -> dict[str, str]:
    return {
        str(path.relative_to(lake.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(lake.root.rglob("*.parquet"))
    }


def stamps(lake: Lake) -> dict[str, int]:
    return {day: lake.day(day).stat().st_ino for day in lake.days()}


def spans(lake: Lake) -> list[dict[str, object]]:
    return [row for day in lake.days() for row in pq.ParquetFile(lake.day(day)).read().to_pylist()]


async def fresh(store: SqlStore, directory: Path) -> dict[str, str]:
    await export(store, Lake(directory))
    return files(Lake(directory))


async def test_every_settled_try_is_one_span_and_calls_under_way_are_none(told: Told):
    found = {(row["span_id"], row["seq"]) for row in spans(told.lake)}
    assert found == {(row.span, row.seq) for row in told.ledger}
    assert len(told.ledger) == 18
    assert all(row["loop_status"] != "open" for row in spans(told.lake))


async def test_the_sum_of_the_files_is_the_sum_of_the_ledger_to_the_pico(told: Told):
    total = sum(row["cost_usd"] for row in spans(told.lake) if row["cost_usd"] is not None)
    assert total * PICO == sum(row.cost or 0 for row in told.ledger) > 0


async def test_a_span_lies_in_the_utc_day_it_began_on(told: Told):
    assert told.lake.days() == ("2026-11-20", "2026-11-21", "2026-11-22")
    last = pq.ParquetFile(told.lake.day("2026-11-20")).read()["start_time_unix_nano"][-1].as_py()
    first = pq.ParquetFile(told.lake.day("2026-11-21")).read()["start_time_unix_nano"][0].as_py()
    assert (last, first) == (at(20, 23, 59, ms=59_999) * 10**6, at(21) * 10**6 - 2 * 3600 * 10**9)


async def test_the_columns_are_those_of_the_contract_and_money_is_decimal(told: Told):
    for name, schema in (("runs", RUNS), ("items", ITEMS), ("evidence", EVIDENCE)):
        assert pq.read_schema(told.lake.root / f"{name}.parquet").equals(
            schema, check_metadata=True
        )
    for path in (told.lake.day("2026-11-20"), told.lake.root / "spans" / "schema.parquet"):
        found = pq.read_schema(path)
        assert found.equals(SPANS, check_metadata=True)
        assert found.metadata[b"trace_schema"] == b"2"
        assert {f.type for f in found if f.name.endswith("_usd") or f.name.endswith("_mtok")} == {
            MONEY
        }


async def test_no_content_is_in_any_file(told: Told):
    assert SECRET_TEXT in (told.home / "store.db").read_bytes().decode(errors="replace")
    for path in told.lake.root.rglob("*.parquet"):
        assert "hunter2" not in json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str), (
            path
        )


async def test_a_second_export_reads_nothing_and_touches_no_day(store: SqlStore, lake: Lake):
    await tell_all(store)
    first = await export(store, lake)
    assert (first.rows, first.days, first.rebuilt) == (18, lake.days(), True)
    before = stamps(lake), files(lake)
    again = await export(store, lake)
    assert (again.rows, again.days, again.rebuilt) == (0, (), False)
    assert (stamps(lake), files(lake)) == before


async def test_an_export_after_every_settling_gives_the_bytes_of_one_at_the_end(
    store: SqlStore, lake: Lake, tmp_path: Path
):
    async for _ in tell(store):
        await export(store, lake, page=1)
    assert files(lake) == await fresh(store, tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["lost", "garbage", "older schema", "a day is missing"])
async def test_a_lake_that_cannot_be_trusted_is_made_again_byte_for_byte(
    store: SqlStore, lake: Lake, damage: str
):
    await tell_all(store)
    await export(store, lake)
    before, mark = files(lake), lake.root / "watermark.json"
    match damage:
        case "lost":
            mark.unlink()
        case "garbage":
            mark.write_text("{")
        case "older schema":
            mark.write_text(json.dumps({**json.loads(mark.read_text()), "trace_schema": "0"}))
        case _:
            lake.day("2026-11-21").unlink()
    assert (await export(store, lake)).rebuilt
    assert files(lake) == before


async def test_a_late_row_rewrites_its_own_day_only(store: SqlStore, lake: Lake):
    led = Ledger(store)
    told = night_fix_accepted(led)
    await anext(told)
    place, tried = await led.open("night-fix", "r-nf-20", "r-nf-20", at(20, 3))
    async for _ in told:
        pass
    await export(store, lake)
    before = stamps(lake)
    await led.answered(place, tried, at(21, 4), Usage(100, 10))
    assert (await export(store, lake)).days == ("2026-11-20",)
    assert {day for day, stamp in stamps(lake).items() if before[day] != stamp} == {"2026-11-20"}


async def test_a_try_that_is_settled_once_more_is_in_the_lake_once_as_it_is_now(
    store: SqlStore, lake: Lake
):
    seen: dict[str, tuple[str, object]] = {}
    async for said in tell(store):
        await export(store, lake)
        lost = [r for r in spans(lake) if r["loop_attempt"] == 1 and r["reserved_usd"] == 1]
        lost += [r for r in spans(lake) if r["loop_status"] == "late"]
        if lost:
            seen[said] = (str(lost[0]["loop_status"]), lost[0]["cost_usd"])
            assert len(lost) == 1
    assert seen["lost"] == seen["repeated"] == ("unknown", None)
    assert seen["late"] == seen["under way"] == ("late", Decimal("0.013485"))


@pytest.mark.parametrize("calls", [0, 1, 30])
async def test_a_lake_of_another_ledger_is_made_anew(lake: Lake, tmp_path: Path, calls: int):
    old = store_in(tmp_path / "old")
    await tell_all(old)
    await export(old, lake)
    old.disconnect()
    # The demo was started over: a new store in the old one's place, with fewer rows or with more.
    new = store_in(tmp_path / "new")
    led = Ledger(new)
    await led.run("night-fix", "r-new", at(23))
    for _ in range(calls):
        await led.call("night-fix", "r-new", "r-new", at(23, 3), Usage(10, 1))
    done = await export(new, lake)
    assert (done.rows, done.rebuilt, len(spans(lake))) == (calls, True, calls)
    assert lake.days() == (("2026-11-23",) if calls else ())
    assert files(lake) == await fresh(new, tmp_path / "fresh")
    new.disconnect()


async def test_the_marked_row_may_have_been_settled_again_since(store: SqlStore, lake: Lake):
    led = Ledger(store)
    await led.run("night-fix", "r1", at(20))
    place, tried = await led.open("night-fix", "r1", "r1", at(20, 3))
    await store.fail(
        place, tried.attempt, status="unknown", error="unknown", attributes={}, now=at(20, 4)
    )
    await export(store, lake)
    await led.call("night-fix", "r1", "r1", at(20, 5), Usage(10, 1))
    await led.answered(place, tried, at(20, 6), Usage(10, 1))
    again = await export(store, lake)
    assert (again.rows, again.rebuilt) == (2, False)
    assert [row["loop_status"] for row in spans(lake)] == ["done", "done"]


async def test_a_damaged_day_is_said_with_the_way_out(store: SqlStore, lake: Lake):
    led = Ledger(store)
    await led.run("night-fix", "r1", at(20))
    await led.call("night-fix", "r1", "r1", at(20, 3), Usage(10, 1))
    await export(store, lake)
    lake.day("2026-11-20").write_bytes(b"PAR1 not any more")
    await led.call("night-fix", "r1", "r1", at(20, 4), Usage(10, 1))
    with pytest.raises(StoreError, match=r"part-0\.parquet' cannot be read: .* Delete '.*lake'"):
        await export(store, lake)


async def test_exports_at_once_take_turns(store: SqlStore, lake: Lake, tmp_path: Path):
    await tell_all(store)
    done = await asyncio.gather(*(export(store, lake, page=5) for _ in range(3)))
    assert sorted(d.rows for d in done) == [0, 0, 18]
    assert files(lake) == await fresh(store, tmp_path / "fresh")


async def test_progress_is_told_after_each_page(store: SqlStore, lake: Lake):
    await tell_all(store)
    heard: list[int] = []
    await export(store, lake, tell=heard.append, page=7)
    assert heard == [7, 14, 18]


async def test_an_empty_store_gives_a_lake_without_days(store: SqlStore, lake: Lake):
    done = await export(store, lake)
    assert (done.rows, done.days, lake.days()) == (0, (), ())
    assert sorted(files(lake)) == [
        "evidence.parquet",
        "items.parquet",
        "parents.parquet",
        "runs.parquet",
        "spans/schema.parquet",
    ]


async def test_only_the_owner_may_look_into_the_lake(told: Told):
    assert os.stat(told.lake.root).st_mode & 0o077 == 0


tries = st.lists(
    st.tuples(
        st.integers(0, 3 * 24 * 60 - 1),  # minute of three days
        st.sampled_from(["done", "failed", "unknown", "unknown, then done"]),
        st.one_of(st.none(), st.integers(0, 10**15)),  # pico-USD
        st.sampled_from(["go on", "export", "export one by one", "export, lose the mark"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tries)
def test_whatever_is_exported_when_the_files_are_the_same_and_the_sum_is_the_ledgers(
    told: list[tuple[int, str, int | None, str]],
):
    with TemporaryDirectory() as directory:
        asyncio.run(_any_order(told, Path(directory)))


async def _any_order(told: list[tuple[int, str, int | None, str]], directory: Path) -> None:
    store, lake = store_in(directory), Lake(directory / "lake")
    led = Ledger(store)
    await led.run("night-fix", "r1", at(20))
    for minute, end, paid, then in told:
        now = at(20, 0) + minute * 60_000
        place, tried = await led.open("night-fix", "r1", "r1", now, reserved=5)
        settlement = Settlement(
            now=now + 1,
            result={},
            cost=paid,
            cost_status="unpriced" if paid is None else "priced",
            price={},
        )
        if end == "failed" or end.startswith("unknown"):
            status = "failed" if end == "failed" else "unknown"
            await store.fail(place, tried.attempt, status=status, error="x", attributes={}, now=now)
            if end == "unknown, then done":
                await export(store, lake)
        if end.endswith("done"):
            await store.done(place, tried.attempt, settlement)
        if then.startswith("export"):
            await export(store, lake, page=1 if then == "export one by one" else 100)
        if then == "export, lose the mark":
            (lake.root / "watermark.json").unlink()
    await export(store, lake)
    ledger = await store.ledger(after_seq=0)
    paid_in_lake = sum(r["cost_usd"] for r in spans(lake) if r["cost_usd"] is not None)
    assert paid_in_lake * PICO == sum(r.cost or 0 for r in ledger)
    assert sorted(r["seq"] for r in spans(lake)) == sorted(r.seq for r in ledger)
    assert files(lake) == await fresh(store, directory / "fresh")
    store.disconnect()
