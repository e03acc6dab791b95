"""A run that has ended is one tree of spans in the lake, and its parents cost nothing."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from analytics.cost import DIMENSIONS, Dimension, cost_report
from analytics.export import export
from analytics.lake import Lake
from analytics.schema import SPANS
from drivers.store.store import SqlStore
from governance.conversation import Usage
from governance.effects import Stop
from governance.parts import PICO
from tests.analytics.conftest import Told
from tests.analytics.golden import Ledger, at

LOOP = "night-fix"


def leaves(lake: Lake) -> list[dict[str, Any]]:
    return [row for day in lake.days() for row in pq.ParquetFile(lake.day(day)).read().to_pylist()]


def parents(lake: Lake) -> list[dict[str, Any]]:
    return pq.ParquetFile(lake.root / "parents.parquet").read().to_pylist()


def of_kind(lake: Lake, kind: str, run: str) -> list[dict[str, Any]]:
    return [p for p in parents(lake) if (p["loop_kind"], p["loop_run_id"]) == (kind, run)]


def test_a_run_that_has_ended_is_one_tree_with_every_child_within_its_parent(told: Told):
    known = {p["span_id"]: p for p in parents(told.lake)}
    every = [*parents(told.lake), *leaves(told.lake)]
    assert len({s["span_id"] for s in every}) == len(every)
    for run, size in (("r-nf-20", 13), ("r-tt-21", 3)):
        tree = [s for s in every if s["loop_run_id"] == run]
        (root,) = [s for s in tree if s["parent_span_id"] is None]
        assert root["name"] == f"invoke_workflow {root['gen_ai_workflow_name']}"
        assert len(tree) - size == len([s for s in leaves(told.lake) if s["loop_run_id"] == run])
        for span in tree:
            assert span["trace_id"] == root["trace_id"]
            above = span
            while above["parent_span_id"] is not None:
                child, above = above, known[above["parent_span_id"]]
                assert above["start_time_unix_nano"] <= child["start_time_unix_nano"]
                assert child["end_time_unix_nano"] <= above["end_time_unix_nano"]
                assert child["seq"] <= above["seq"]
            assert above is root or above == root


def test_a_run_under_way_has_no_parents_yet(told: Told):
    assert {p["loop_run_id"] for p in parents(told.lake)} == {"r-nf-20", "r-tt-21"}
    assert "r-nf-22" in {s["loop_run_id"] for s in leaves(told.lake)}


def test_a_parent_says_what_it_came_to_and_why(told: Told):
    (run,) = of_kind(told.lake, "run", "r-nf-20")
    assert (run["loop_status"], run["status_code"], run["loop_item_id"]) == ("closed", "OK", None)
    assert run["start_time_unix_nano"] == at(20) * 10**6
    items = {i["loop_status"]: i for i in of_kind(told.lake, "item", "r-nf-20")}
    assert (items["done"]["status_code"], items["done"]["error_type"]) == ("OK", None)
    assert (items["stopped"]["status_code"], items["stopped"]["error_type"]) == ("ERROR", "rounds")
    assert items["stopped"]["attributes"] == '{"loop.stop.reason": "rounds"}'
    assert items["done"]["end_time_unix_nano"] == at(20, 2, 12) * 10**6
    assert {i["parent_span_id"] for i in items.values()} == {run["span_id"]}
    lanes = of_kind(told.lake, "lane", "r-nf-20")
    assert {lane["gen_ai_operation_name"] for lane in lanes} == {"invoke_agent"}
    assert {lane["status_code"] for lane in lanes} == {"UNSET"}
    (checker,) = [lane for lane in lanes if lane["loop_lane"] == "checker"]
    assert checker["name"] == "invoke_agent fix-reviewer"
    assert checker["parent_span_id"] == items["done"]["span_id"]
    (look,) = [lane for lane in lanes if lane["loop_lane"] == "look"]
    assert look["parent_span_id"] == run["span_id"]


@pytest.mark.parametrize("reason", ["rejected", "expired", "cancelled", "denied"])
async def test_what_people_decided_is_no_error(store: SqlStore, lake: Lake, reason: Any):
    led = Ledger(store)
    await led.run(LOOP, "r1", at(20))
    (item,) = await led.items(LOOP, "r1", at(20, 2, 1), "a")
    await led.close(item, at(20, 2, 2), Stop(reason, "so they said"))
    await export(store, lake)
    (found,) = of_kind(lake, "item", "r1")
    assert (found["status_code"], found["error_type"]) == ("UNSET", None)
    assert reason in found["attributes"]


async def test_a_heartbeat_that_was_stopped_is_an_error_with_its_reason(
    store: SqlStore, lake: Lake
):
    led = Ledger(store)
    await led.run(LOOP, "r1", at(20))
    await store.end_run("r1", stop=Stop("refusal", "no"), now=at(20, 3))
    await export(store, lake)
    (run,) = parents(lake)
    assert (run["status_code"], run["error_type"], run["seq"]) == ("ERROR", "refusal", 0)


async def test_a_delegate_hangs_below_whoever_called_it(store: SqlStore, lake: Lake):
    led = Ledger(store)
    await led.run(LOOP, "r1", at(20))
    (item,) = await led.items(LOOP, "r1", at(20, 2, 1), "a")
    lanes = ("lead", "lead-0-1-fix", "lead-0-1-fix-2-1-lead", "lead-0-2-fix", "leader")
    for minute, lane in enumerate(lanes, 2):
        await led.call(LOOP, "r1", item, at(20, 2, minute), Usage(10, 1), lane=lane)
    await led.close(item, at(20, 3))
    await export(store, lake)
    found = {lane["loop_lane"]: lane for lane in of_kind(lake, "lane", "r1")}
    named = {lane["span_id"]: name for name, lane in found.items()}
    above = {name: named.get(lane["parent_span_id"]) for name, lane in found.items()}
    assert above == {
        "lead": None, "lead-0-1-fix": "lead", "lead-0-1-fix-2-1-lead": "lead-0-1-fix",
        "lead-0-2-fix": "lead", "leader": None,
    }  # fmt: skip
    ends = found["lead-0-2-fix"]["end_time_unix_nano"]
    assert found["lead"]["end_time_unix_nano"] == ends, "a caller lasts as long as its delegates"
    assert ends < found["leader"]["end_time_unix_nano"]


async def test_a_try_that_is_settled_after_the_end_stretches_what_it_hangs_from(
    store: SqlStore, lake: Lake, tmp_path: Path
):
    led = Ledger(store)
    await led.run(LOOP, "r1", at(20))
    (item,) = await led.items(LOOP, "r1", at(20, 2, 1), "a")
    place, tried = await led.open(LOOP, "r1", item, at(20, 2, 2), reserved=5)
    await store.fail(
        place, tried.attempt, status="unknown", error="unknown", attributes={}, now=at(20, 2, 3)
    )
    await led.close(item, at(20, 2, 4), Stop("unavailable", "gone"))
    await export(store, lake)
    before = {p["loop_kind"]: p["end_time_unix_nano"] for p in parents(lake)}
    assert before == {k: at(20, 2, m) * 10**6 for k, m in (("run", 4), ("item", 4), ("lane", 3))}
    await led.answered(place, tried, at(20, 2, 9), Usage(10, 1))
    await export(store, lake)
    assert {p["end_time_unix_nano"] for p in parents(lake)} == {at(20, 2, 9) * 10**6}
    again = Lake(tmp_path / "fresh")
    await export(store, again)
    assert parents(again) == parents(lake)


@pytest.mark.parametrize("by", DIMENSIONS)
def test_parents_change_no_sum(told: Told, tmp_path: Path, by: Dimension):
    assert len(parents(told.lake)) == 16
    assert {(p["cost_usd"], p["cost_status"]) for p in parents(told.lake)} == {(None, None)}
    bare = Lake(tmp_path / "lake")
    for path in told.lake.root.rglob("*.parquet"):
        if path.name != "parents.parquet":
            bare.put(bare.root / path.relative_to(told.lake.root), pq.ParquetFile(path).read())
    assert cost_report(told.lake, by) == cost_report(bare, by)


def test_even_who_reads_both_together_pays_once(told: Told):
    both = [f"{told.lake.root}/spans/*/*.parquet", f"{told.lake.root}/parents.parquet"]
    found = duckdb.execute(
        "SELECT sum(cost_usd) FROM read_parquet($1, union_by_name = true)", [both]
    ).fetchall()
    assert found[0][0] * PICO == sum(row.cost or 0 for row in told.ledger)
    assert pq.read_schema(both[1]).equals(SPANS, check_metadata=True)
