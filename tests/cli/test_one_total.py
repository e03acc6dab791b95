"""Is the total the same wherever a cost is shown, to the pico-USD, whatever is on the ledger?"""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics.build import built, rows
from analytics.cost import DIMENSIONS
from analytics.lake import Lake
from cli.spent import spent
from governance.bill import Billed, Meters, Report, day_of
from governance.parts import usd
from governance.reconcile import Compared
from governance.records import LedgerRow
from governance.trace import span_of
from tasks.bills import reconcile_days
from tests.cli.everything import BOOK, MODELS, TODAY, Everything, at, tell
from tests.cli.filled import Filled
from tests.drivers.store.story import store_in
from tests.governance.registry_texts import FILES

FIRST = TODAY - timedelta(2)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Town"]:
    home = tmp_path_factory.mktemp("everything")
    town = Town(Filled(home, store_in(home)))
    asyncio.run(town.tell())
    yield town
    town.filled.store.disconnect()


class Town:
    """The story, and what every place says of it."""

    def __init__(self, filled: Filled) -> None:
        self.filled = filled
        self.told: Everything
        self.ledger: tuple[LedgerRow, ...] = ()

    async def tell(self) -> None:
        """The story, its bill, and another price book beside it."""
        self.told = await tell(self.filled.store)
        await self.reconciled(dry=False)
        self.ledger = await self.filled.store.ledger(after_seq=0)

    @property
    def total(self) -> Decimal:
        """What the ledger adds up to."""
        return self.of(lambda row: True)

    def of(self, which: Any) -> Decimal:
        return usd(sum(row.cost or 0 for row in self.ledger if which(row)))

    def json(self, *words: object) -> Any:
        done = self.filled.run(*words, "--json", LOOPRAIL_HOME=str(self.filled.home / "home"))
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def cost(self, by: str) -> dict[str | None, Decimal]:
        """`loops cost --by`."""
        told = self.json("cost", "--by", by)
        assert Decimal(told["total"]["cost_usd"]) == self.total
        return {row["key"]: Decimal(row["cost_usd"] or 0) for row in told["rows"]}

    def top(self, days: int = 31) -> Any:
        return self.json("top", "--once", "--days", days)

    async def reconciled(self, *, dry: bool) -> tuple[Compared, ...]:
        """A bill with what two lost calls may have cost, and with a little that nothing explains."""
        known = await self.filled.store.ledger(after_seq=0)
        lines: dict[Any, Billed] = {}
        for row in known:
            if row.kind == "model" and row.status in ("done", "late"):
                model = str(row.attributes["gen_ai.request.model"])
                at_day = (model, day_of(row.started_at))
                lines[at_day] = lines.get(at_day, Billed(Meters())) + Billed(Meters.of(row.usage))
        if not any("loop.reconciled" in row.attributes for row in known):
            lost = (MODELS["opus"], TODAY - timedelta(1))
            lines[lost] = lines.get(lost, Billed(Meters())) + Billed(Meters(input=100, output=50))
        extra = (MODELS["sonnet"], FIRST)
        lines[extra] = lines[extra] + Billed(Meters(input=9))
        report = Report("a report", at(-4), lines, tokens=(FIRST, TODAY), usd=None)
        return await reconcile_days(
            self.filled.store, report, (FIRST, TODAY), book=BOOK, delay_ms=0, by="noor", now=at(-4), dry=dry
        )  # fmt: skip


def added(found: dict[Any, Decimal]) -> Decimal:
    return sum(found.values(), Decimal(0))


def test_the_story_holds_everything(town: Town) -> None:
    """Or the rest proves less than it says."""
    seen = {(row.kind, row.status, row.cost_status) for row in town.ledger}
    assert seen >= {
        ("model", "done", "priced"), ("model", "late", "priced"), ("model", "failed", "free"),
        ("model", "done", "unpriced"), ("model", "unknown", "open"), ("tool", "done", "priced"), ("tool", "done", "free"),
        ("tool", "done", "undeclared"), ("tool", "unknown", "open"), ("sandbox", "done", "priced"),
        ("sandbox", "done", "undeclared"),
    }  # fmt: skip
    assert any("loop.reconciled" in row.attributes for row in town.ledger if row.status == "late")
    assert any(row.cost != row.list_cost for row in town.ledger if row.kind == "model")
    assert any(day_of(row.started_at) != day_of(row.ended_at or 0) for row in town.ledger)
    assert town.total > 0


@pytest.mark.parametrize("by", DIMENSIONS)
def test_loops_cost_adds_up_by_every_dimension_in_json_csv_and_for_people(town: Town, by: str):
    assert added(town.cost(by)) == town.total
    home = str(town.filled.home / "home")
    said = town.filled.run("cost", "--by", by, "--csv", LOOPRAIL_HOME=home).stdout
    *lines, total = csv.DictReader(io.StringIO(said))
    assert sum(Decimal(line["cost_usd"] or 0) for line in lines) == Decimal(total["cost_usd"])
    shown = town.filled.run("cost", "--by", by, LOOPRAIL_HOME=home).stdout.splitlines()
    (last,) = (line for line in shown if line.strip().startswith("TOTAL"))
    assert Decimal(last.split()[1]) == Decimal(total["cost_usd"]) == town.total


def test_loops_top_says_of_everybody_and_of_every_stretch_of_days_what_loops_cost_says(town: Town):
    told = town.top()
    for whose, rows_ in told["by"].items():
        shown = {row["name"]: Decimal(row["settled_usd"]) for row in rows_}
        assert added(shown) == Decimal(told["total"]["settled_usd"]) == town.total, whose
        if whose == "model":
            shown = {MODELS.get(name): usd_ for name, usd_ in shown.items()}
        if whose != "organisation":
            assert shown == town.cost(whose), whose
    days = town.cost("day")
    for back in range(3):
        since = str(TODAY - timedelta(back))
        asked = town.json("cost", "--since", since)["total"]["cost_usd"]
        within = added({day: paid for day, paid in days.items() if str(day) >= since})
        assert Decimal(town.top(back + 1)["total"]["settled_usd"]) == within == Decimal(asked)


def test_what_is_unknown_and_what_has_no_price_is_counted_alike(town: Town):
    top, cost = town.top()["total"], town.json("cost")["total"]
    unknown = [row for row in town.ledger if row.status == "unknown"]
    at_most = usd(sum(row.reserved for row in unknown))
    assert Decimal(top["unknown_usd"]) == Decimal(cost["unknown_usd_at_most"]) == at_most > 0
    assert cost["unknown_calls"] == len(unknown)
    assert top["unpriced"] == cost["unpriced_calls"] + cost["undeclared_calls"] == 4
    assert top["tries"] == cost["model_calls"] + cost["other_calls"] == len(town.ledger)


def test_budgets_took_what_the_ledger_says_of_whom_they_are(town: Town):
    for run, loop in town.told.runs.items():
        if loop != "probe":
            shown = town.json("budget", "show", f"run:{run}:usd")
            of_run = [row for row in town.ledger if row.place.run == run]
            assert Decimal(shown["spent"]) == usd(sum(row.cost or 0 for row in of_run)), run
            unknown = usd(sum(row.reserved for row in of_run if row.status == "unknown"))
            assert Decimal(shown["unknown"]) == unknown, run
    taken = Decimal(0)
    for team in ("ops-platform", "ops-support"):
        for window in asyncio.run(town.filled.store.windows(f"rule:ops-day/{team}:usd")):
            of_day = town.of(
                lambda row, team=team, day=window.window: (
                    row.principal.team == team and str(day_of(row.started_at)) == day
                )
            )
            assert usd(window.spent) == of_day, (team, window)
            taken += usd(window.spent)
    assert taken == town.total - town.of(lambda row: row.principal.team == "lab")


def test_traces_and_the_inbox_and_what_is_watched_add_up(town: Town):
    runs = {run: town.json("trace", run) for run in town.told.runs}
    items = {row["item"]: Decimal(row["cost_usd"]) for row in town.json("inbox", "--all")}
    by_item = town.cost("item")
    heartbeats = by_item.pop(None)
    assert items == by_item
    assert added(items) + heartbeats == town.total
    by_run = town.cost("run")
    for run, told in runs.items():
        assert Decimal(told["cost_usd"]) == by_run[run]
        assert {i["item"]: Decimal(i["cost_usd"]) for i in told["items"]} == {
            i["item"]: items[i["item"]] for i in told["items"]
        }
        assert sum(_tries(told)) == by_run[run]
        watched = spent(asyncio.run(town.filled.store.ledger(run=run)))
        assert usd(watched.pico) == by_run[run]
    assert added({run: Decimal(told["cost_usd"]) for run, told in runs.items()}) == town.total


def _tries(node: Any) -> Iterator[Decimal]:
    """What every try below a node of a trace cost."""
    if isinstance(node, dict):
        for effect in node.get("effects", ()):
            yield from (Decimal(one["cost_usd"] or 0) for one in effect["tries"])
        for below in ("lanes", "items"):
            yield from _tries(node.get(below, []))
    elif isinstance(node, list):
        for one in node:
            yield from _tries(one)


def test_the_lake_adds_up_for_anybodys_sql_and_so_do_its_tables_and_spans(town: Town):
    town.json("cost")
    lake = Lake(town.filled.home / "home" / "lake")
    everywhere = f"{lake.root}/spans/*/*.parquet"
    (paid,) = duckdb.sql(f"SELECT sum(cost_usd) FROM read_parquet('{everywhere}')").fetchall()
    assert paid == (town.total,)
    with built(lake) as tables:
        for query in (
            "SELECT sum(cost_usd) AS usd FROM lanes",
            "SELECT cost_usd AS usd FROM cost_per_accepted WHERE loop IS NULL",
            "SELECT sum(cost_usd) AS usd FROM cost_per_accepted WHERE loop IS NOT NULL",
            "SELECT sum(cost_usd) AS usd FROM cost_by_call",
        ):
            assert rows(tables, query) == [{"usd": town.total}], query
    spans = (span_of(row).attributes.get("loop.cost.amount") for row in town.ledger)
    assert sum(Decimal(str(amount)) for amount in spans if amount) == town.total


def test_reconciliation_settled_what_models_cost_and_leaves_a_difference_in_no_total(town: Town):
    found = asyncio.run(town.reconciled(dry=True))
    assert usd(sum(one.settled_usd for one in found)) == town.of(lambda row: row.kind == "model")
    assert [one.off for one in found if one.state == "unexplained"] == [Meters(input=9)]
    by_model = town.cost("model")
    for name in ("sonnet", "opus"):
        of_model = [one.settled_usd for one in found if one.model == MODELS[name]]
        assert usd(sum(of_model)) == by_model[MODELS[name]]


def test_priced_anew_it_was_what_models_cost_and_no_total_moves(town: Town, tmp_path: Path):
    registry = tmp_path / "registry"
    for name, text in FILES.items():
        (registry / name).parent.mkdir(parents=True, exist_ok=True)
        (registry / name).write_text(text)
    before = town.total
    told = town.json("rerate", "--why", "no discount", "--registry", registry)
    assert Decimal(told["total"]["was_usd"]) == town.of(lambda row: row.kind == "model")
    assert Decimal(told["total"]["now_usd"]) > Decimal(told["total"]["was_usd"])
    assert added(town.cost("loop")) == Decimal(town.top()["total"]["settled_usd"]) == before
