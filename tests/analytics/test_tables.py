"""The tables answer from the lake alone, add up in every direction, and never put money through a float."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics.build import SQL, built, models, rows
from analytics.cost import DIMENSIONS, Dimension, cost_report, money
from analytics.export import export
from analytics.lake import Lake
from drivers.store.store import SqlStore
from governance.conversation import Usage
from governance.effects import Evidence, Place
from governance.errors import StoreError
from governance.parts import usd
from governance.prices import price_of
from tests.analytics.conftest import Told
from tests.analytics.golden import SONNET, TREE, Ledger, at

NOTHING = Decimal(0)


def table(lake: Lake, query: str, **asked: Any) -> list[dict[str, Any]]:
    with built(lake, **asked) as tables:
        return rows(tables, query)


def add_up(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((a for a in amounts if a is not None), NOTHING)


@pytest.mark.parametrize("by", DIMENSIONS)
def test_every_breakdown_adds_up_to_the_ledger_to_the_pico(told: Told, by: Dimension):
    report = cost_report(told.lake, by)
    ledger = usd(sum(row.cost or 0 for row in told.ledger))
    assert add_up(row["cost_usd"] for row in report.rows) == report.total["cost_usd"] == ledger
    assert sum(row["model_calls"] + row["other_calls"] for row in report.rows) == len(told.ledger)
    tokens = sum(row.usage.total for row in told.ledger)
    assert sum(row["input_tokens"] + row["output_tokens"] for row in report.rows) == tokens
    assert all(isinstance(row["cost_usd"], Decimal | None) for row in report.rows)


@pytest.mark.parametrize("by", DIMENSIONS)
def test_unpriced_and_unknown_calls_stand_beside_every_total(told: Told, by: Dimension):
    report = cost_report(told.lake, by)
    assert sum(row["unpriced_calls"] for row in report.rows) == report.total["unpriced_calls"] == 1
    assert sum(row["unknown_calls"] for row in report.rows) == report.total["unknown_calls"] == 1
    assert report.total["unknown_usd_at_most"] == Decimal("0.25")


def test_each_row_is_the_ledgers_own_sum(told: Told):
    keys = {
        "loop": lambda r: r.principal.loop,
        "team": lambda r: r.principal.team,
        "user": lambda r: r.principal.owner,
        "role": lambda r: r.principal.role,
        "agent": lambda r: f"{r.principal.loop}/{r.principal.agent}",
        "run": lambda r: r.place.run,
        "call": lambda r: r.key + (f" try {r.attempt}" if r.attempt > 1 else ""),
        "model": lambda r: r.name if r.kind == "model" else None,
        "item": lambda r: r.place.owner if r.place.owner != r.place.run else None,
    }
    for by, key_of in keys.items():
        expected: dict[str | None, Decimal] = {}
        for row in told.ledger:
            expected[key_of(row)] = expected.get(key_of(row), NOTHING) + usd(row.cost or 0)
        found = {row["key"]: row["cost_usd"] or NOTHING for row in cost_report(told.lake, by).rows}  # type: ignore[arg-type]
        assert found == expected, by


def test_days_are_utc_and_in_order(told: Told):
    found = [(row["key"], row["cost_usd"]) for row in cost_report(told.lake, "day").rows]
    assert found == [
        ("2026-11-20", Decimal("0.265730")),
        ("2026-11-21", Decimal("0.004542")),
        ("2026-11-22", Decimal("0.026985")),
    ]


def test_an_unknown_price_is_not_a_price_of_zero(told: Told):
    found = {row["key"]: row["cost_usd"] for row in cost_report(told.lake, "model").rows}
    assert found["house-model"] is None
    assert found[None] == 0


def test_one_loop_or_since_a_day_counts_what_it_says(told: Told):
    report = cost_report(told.lake, "role", loop="night-fix", since=date(2026, 11, 21))
    expected = [
        r for r in told.ledger if r.principal.loop == "night-fix" and r.started_at >= at(21, 0)
    ]
    assert (
        report.total["cost_usd"] == usd(sum(r.cost or 0 for r in expected)) == Decimal("0.026985")
    )
    assert report.total["model_calls"] + report.total["other_calls"] == len(expected) == 5
    assert [row["key"] for row in report.rows] == ["maker"]


def test_a_loop_is_a_value_and_never_sql(told: Told):
    report = cost_report(told.lake, "loop", loop="x' OR '1'='1")
    assert (report.rows, report.total["cost_usd"]) == ((), 0)
    assert report.remarks[0] == "No settled call is on the ledger for this."


def test_an_accepted_delivery_pays_for_everything_that_led_to_none(told: Told):
    found = {row["key"]: row for row in cost_report(told.lake, "loop").rows}
    night = found["night-fix"]
    everything = usd(sum(r.cost or 0 for r in told.ledger if r.principal.loop == "night-fix"))
    assert (night["accepted"], night["cost_per_accepted_usd"]) == (1, everything)
    assert (
        found["ticket-triage"]["accepted"],
        found["ticket-triage"]["cost_per_accepted_usd"],
    ) == (0, None)
    ends = table(told.lake, "FROM cost_per_accepted WHERE loop = 'night-fix'")[0]
    assert (ends["accepted"], ends["done_unproven"], ends["stopped"], ends["open"]) == (1, 0, 1, 1)


def test_deliveries_count_by_the_day_they_closed(told: Told):
    report = cost_report(told.lake, "loop", since=date(2026, 11, 21))
    assert report.total["accepted"] == 0
    assert report.total["cost_per_accepted_usd"] is None


def test_what_an_item_came_to_is_said_beside_its_cost(told: Told):
    found = {row["outcome"]: row["loop"] for row in cost_report(told.lake, "item").rows}
    assert found == {
        "accepted": "night-fix", "stopped: rounds": "night-fix", "working": "night-fix",
        "done": "ticket-triage", None: None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "lacking", ["verified", "checked", "delivery", "same tree", "latest verdict", "nothing"]
)
async def test_accepted_needs_both_verdicts_about_one_tree_and_a_delivery(
    store: SqlStore, lake: Lake, lacking: str
):
    led = Ledger(store)
    await led.run("night-fix", "r1", at(20))
    (item,) = await led.items("night-fix", "r1", at(20), "t")
    about = "8" * 40 if lacking == "same tree" else TREE
    said: tuple[Evidence, ...] = ()
    if lacking != "verified":
        said += (Evidence("verified", TREE, "passed", "verifier", ""),)
    if lacking != "checked":
        said += (Evidence("checked", about, "accept", "fix-reviewer", ""),)
    if lacking == "latest verdict":
        said += (Evidence("checked", TREE, "revise", "fix-reviewer", ""),)
    await store.record(
        Place("r1", item, 1, "verdict", 0, 0), kind="step", name="verdict", head="sha256:h", head_after="sha256:h",
        args={}, result={}, labels=(), fence=1, now=at(20), evidence=said,
    )  # fmt: skip
    await led.free("night-fix", "r1", item, at(20), "tool", "github.get_issue", lane="maker")
    if lacking != "delivery":
        await led.free("night-fix", "r1", item, at(20), "push", "b", lane="push")
    await led.close(item, at(20, 3))
    await export(store, lake)
    (found,) = table(lake, "SELECT outcome, is_accepted FROM items")
    assert found["is_accepted"] == (lacking == "nothing")
    assert found["outcome"] == ("accepted" if lacking == "nothing" else "done")


async def test_a_share_is_rounded_down_to_a_whole_pico(store: SqlStore, lake: Lake):
    with built(await _empty(store, lake)) as tables:
        (found,) = rows(tables, "SELECT usd_each(10::DECIMAL(38, 12), 3) AS a, usd_each(1, 0) AS b")
    assert (found["a"], found["b"]) == (Decimal("3.333333333333"), None)


async def test_what_the_cache_saved_is_exact(told: Told):
    (found,) = table(
        told.lake, f"FROM cache_savings WHERE model = '{SONNET}' AND loop = 'night-fix'"
    )
    price = price_of(SONNET, at(20), 1)
    assert price is not None
    used = [
        r.usage
        for r in told.ledger
        if r.kind == "model" and r.name == SONNET and r.principal.loop == "night-fix"
    ]
    reads = sum(u.cache_read_tokens for u in used)
    w5, w1 = sum(u.cache_write_5m_tokens for u in used), sum(u.cache_write_1h_tokens for u in used)
    saved = reads * (price.input - price.cache_read)
    dearer = w5 * (price.cache_write_5m - price.input) + w1 * (price.cache_write_1h - price.input)
    assert (reads, w5, w1) == (8_000, 10_000, 500)
    assert found["reads_saved_usd"] == saved / 10**6
    assert found["writes_cost_usd"] == dearer / 10**6
    assert found["saved_usd"] == (saved - dearer) / 10**6


def test_conversations_add_up_to_the_same_total(told: Told):
    lanes = table(told.lake, "SELECT span_id, name, cost_usd, model_calls FROM lanes")
    assert add_up(row["cost_usd"] for row in lanes) == usd(sum(r.cost or 0 for r in told.ledger))
    assert {row["span_id"] for row in lanes} == {r.parent_span for r in told.ledger}
    assert "invoke_agent fix-reviewer" in {row["name"] for row in lanes}


async def test_no_column_of_money_is_a_float(told: Told):
    with built(told.lake) as tables:
        for name in models():
            found = tables.execute(f"DESCRIBE {name}").fetchall()
            assert not {kind for _, kind, *_ in found} & {"DOUBLE", "FLOAT"}, name
            money_columns = {kind for column, kind, *_ in found if column.endswith("_usd")}
            assert all(kind.startswith("DECIMAL") for kind in money_columns), name


async def test_a_lake_without_a_span_has_every_table_and_costs_nothing(store: SqlStore, lake: Lake):
    await _empty(store, lake)
    for by in DIMENSIONS:
        report = cost_report(lake, by)
        assert (report.rows, report.total["cost_usd"], report.total["model_calls"]) == ((), 0, 0)
    with built(lake) as tables:
        for name in models():
            tables.execute(f"FROM {name}").fetchall()


@pytest.mark.parametrize("name", sorted(models()))
def test_every_file_says_what_a_row_is_which_question_it_answers_and_its_key(name: str):
    model = models()[name]
    assert model.grain.startswith("one row per ")
    assert model.question.endswith("?")
    assert model.unique
    assert model.select.count(";") == 0


async def test_two_rows_under_one_key_are_an_error_with_both_named(told: Told, tmp_path: Path):
    lake = Lake(tmp_path / "lake")
    for path in told.lake.root.rglob("*.parquet"):
        lake.put(lake.root / path.relative_to(told.lake.root), pq.ParquetFile(path).read())
    twice = pq.ParquetFile(lake.day("2026-11-20")).read()
    lake.put(lake.day("2026-11-20"), pa.concat_tables([twice, twice.slice(0, 1)]))
    with pytest.raises(
        StoreError, match=r"table 'stg_spans' has 2 rows for span_id '[0-9a-f]{16}', allowed is 1"
    ):
        cost_report(lake, "loop")


async def test_a_damaged_file_is_said_with_the_way_out(store: SqlStore, lake: Lake):
    await _empty(store, lake)
    (lake.root / "items.parquet").write_bytes(b"PAR1 not any more")
    with pytest.raises(
        StoreError, match=r"the lake '.*' cannot be read: .*items\.parquet.* Delete it"
    ):
        cost_report(lake, "loop")
    (lake.root / "items.parquet").unlink()
    with pytest.raises(StoreError, match=r"cannot be read: .*items\.parquet"):
        cost_report(lake, "loop")


def test_the_tables_read_nothing_outside_the_lake_and_load_nothing(told: Told, tmp_path: Path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with built(told.lake) as tables:
        for attempt in (
            f"FROM read_csv('{tmp_path}/secret.csv')",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
            f"ATTACH '{tmp_path}/x.db'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                tables.execute(attempt)
    assert not (tmp_path / "out.csv").exists()


def test_a_lake_whose_path_has_a_quote_is_read(told: Told, tmp_path: Path):
    lake = Lake(tmp_path / "noor's lake")
    for path in told.lake.root.rglob("*.parquet"):
        lake.put(lake.root / path.relative_to(told.lake.root), pq.ParquetFile(path).read())
    assert (
        cost_report(lake, "loop").total["cost_usd"]
        == cost_report(told.lake, "loop").total["cost_usd"]
    )


def test_every_sql_file_is_found():
    assert {path.stem for path in SQL.rglob("*.sql")} - {"money"} == set(models())


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00"),
        ("1234567.5", "1,234,567.50"),
        ("0.000000000001", "0.000000000001"),
        ("0E-12", "0.00"),
    ],
)
def test_an_amount_is_shown_with_every_digit_it_has(amount: str, shown: str):
    assert money(Decimal(amount)) == shown


async def test_a_cost_of_which_nothing_is_known_is_not_shared(store: SqlStore, lake: Lake):
    led = Ledger(store)
    await led.run("night-fix", "r1", at(20))
    await led.call("night-fix", "r1", "r1", at(20), Usage(5, 5), model="house-model")
    await export(store, lake)
    report = cost_report(lake, "loop")
    assert (report.total["cost_usd"], report.total["cost_per_accepted_usd"]) == (None, None)
    assert report.remarks == (
        "1 call of a model without a price: the total is without what that costs.",
        "0 accepted deliveries, so there is no cost per accepted delivery.",
    )


async def _empty(store: SqlStore, lake: Lake) -> Lake:
    await export(store, lake)
    return lake
