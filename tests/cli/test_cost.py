"""`loops cost` says what the ledger says, to the pico, and where it does not know it says so."""

import asyncio
import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cli.cost
from analytics.cost import DIMENSIONS
from cli.main import cli as loops
from drivers.store import store_at
from governance.errors import StoreError
from governance.parts import usd
from governance.records import LedgerRow
from tests.analytics.golden import Ledger, at, tell_all
from tests.cli.filled import Filled
from tests.governance.registry_texts import FILES


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[LedgerRow, ...]:
    url, blobs = f"sqlite://{tmp_path}/store.db", str(tmp_path / "blobs")
    monkeypatch.setenv("LOOPRAIL_STORE_URL", url)
    monkeypatch.setenv("LOOPRAIL_BLOBS", blobs)
    monkeypatch.setenv("LOOPRAIL_HOME", str(tmp_path / "home"))
    return asyncio.run(tell_all(store_at(url, blobs)))


def cost(*args: str) -> Result:
    return CliRunner().invoke(loops, ["cost", *args], catch_exceptions=False)


@pytest.mark.parametrize("by", DIMENSIONS)
def test_rows_and_total_are_the_ledgers_in_json_and_csv(ledger: tuple[LedgerRow, ...], by: str):
    exact = usd(sum(row.cost or 0 for row in ledger))
    told = json.loads(cost("--by", by, "--json").stdout)
    assert told["label"] == "computed, not reconciled"
    assert Decimal(told["total"]["cost_usd"]) == exact > 0
    assert sum(Decimal(row["cost_usd"] or 0) for row in told["rows"]) == exact
    lines = list(csv.DictReader(io.StringIO(cost("--by", by, "--csv").stdout)))
    assert [line["dimension"] for line in lines] == [by] * len(told["rows"]) + ["total"]
    assert sum(Decimal(line["cost_usd"] or 0) for line in lines[:-1]) == exact
    assert Decimal(lines[-1]["cost_usd"]) == exact


def test_what_is_printed_adds_up_as_it_is_printed(ledger: tuple[LedgerRow, ...]):
    lines = cost("--by", "day").stdout.splitlines()
    days = [line.split()[1] for line in lines if line.strip().startswith("2026-")]
    (total,) = (line.split()[1] for line in lines if line.strip().startswith("TOTAL"))
    assert len(days) == 3
    assert sum(map(Decimal, days)) == Decimal(total) == usd(sum(row.cost or 0 for row in ledger))


def test_the_answer_says_what_it_is_and_what_it_does_not_know(ledger: tuple[LedgerRow, ...]):
    lines = cost().stdout.splitlines()
    assert lines[0] == "Cost by loop, computed, not reconciled"
    assert lines[-3:] == [
        "1 call of a model without a price: the total is without what that costs.",
        "1 call whose outcome nobody knows: at most 0.25 USD more.",
        "1 accepted delivery; with all work that led to none, 0.297257 USD each.",
    ]


def test_a_narrow_terminal_cuts_no_amount(
    ledger: tuple[LedgerRow, ...], monkeypatch: pytest.MonkeyPatch
):
    wide = cost("--by", "item").stdout
    monkeypatch.setenv("COLUMNS", "30")
    assert cost("--by", "item").stdout == wide
    assert "…" not in wide
    assert "0.135000" in wide


def test_one_loop_since_a_day(ledger: tuple[LedgerRow, ...]):
    told = json.loads(cost("--loop", "night-fix", "--since", "2026-11-22", "--json").stdout)
    asked = [r for r in ledger if r.principal.loop == "night-fix" and r.started_at >= at(22, 0)]
    assert Decimal(told["total"]["cost_usd"]) == usd(sum(r.cost or 0 for r in asked)) > 0
    assert (told["loop"], told["since"]) == ("night-fix", "2026-11-22")
    assert cost("--loop", "night-fix", "--since", "2026-11-22").stdout.startswith(
        "Cost of night-fix by loop since 2026-11-22 UTC, computed, not reconciled"
    )


def test_a_loop_that_never_ran_is_told_apart_from_one_that_was_free(ledger: tuple[LedgerRow, ...]):
    assert "No settled call is on the ledger for this." in cost("--loop", "nigth-fix").stdout


def test_what_settles_later_is_in_the_next_answer(ledger: tuple[LedgerRow, ...], tmp_path: Path):
    before = json.loads(cost("--json").stdout)["total"]
    store = store_at(f"sqlite://{tmp_path}/store.db", str(tmp_path / "blobs"))

    async def more() -> int:
        led = Ledger(store)
        await led.run("night-fix", "r-new", at(20, 5))
        place, tried = await led.open("night-fix", "r-new", "r-new", at(20, 5))
        await led.answered(place, tried, at(20, 6), ledger[1].usage)
        return sum(row.cost or 0 for row in await store.ledger(run="r-new"))

    paid = asyncio.run(more())
    after = json.loads(cost("--json").stdout)["total"]
    assert (
        Decimal(after["cost_usd"])
        == Decimal(before["cost_usd"]) + usd(paid)
        > Decimal(before["cost_usd"])
    )


def test_a_slow_export_says_how_far_it_is_on_stderr(
    ledger: tuple[LedgerRow, ...], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cli.cost, "SLOW_S", 0)
    done = cost("--json")
    assert done.stderr == "exporting the ledger: 18 calls read\n"
    assert json.loads(done.stdout)["total"]["accepted"] == 1


def test_two_forms_at_once_are_refused(ledger: tuple[LedgerRow, ...]):
    done = cost("--json", "--csv")
    assert done.exit_code == 2
    assert "ask for one" in done.output


def test_half_a_store_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOOPRAIL_BLOBS", "somewhere")
    monkeypatch.delenv("LOOPRAIL_STORE_URL", raising=False)
    with pytest.raises(StoreError, match="LOOPRAIL_BLOBS is set and LOOPRAIL_STORE_URL is not"):
        cost()


@pytest.mark.slow
def test_without_a_store_the_way_out_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.delenv("LOOPRAIL_BLOBS", raising=False)
    monkeypatch.delenv("LOOPRAIL_STORE_URL", raising=False)
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(
            StoreError,
            match=r"Prefect at http://127\.0\.0\.1:9/api does not name a store: .*loops connect store",
        ),
    ):
        cost()


def test_the_time_of_people_is_told_beside_the_total_and_is_in_none(
    morning: Filled, tmp_path: Path
):
    registry = tmp_path / "registry"
    rate = "people:\n  - {starts: 2020-01-01, hour_usd: 90, card_seconds: 120}\n"
    for name, text in (FILES | {"prices.yaml": rate}).items():
        (registry / name).parent.mkdir(parents=True, exist_ok=True)
        (registry / name).write_text(text)
    asked = ("cost", "--registry", registry)
    home = {"LOOPRAIL_HOME": str(tmp_path / "home")}
    before = json.loads(morning.run(*asked, "--json", **home).stdout)
    assert before["people"] == {"cards": 0, "undeclared_cards": 0, "seconds": 0, "usd": "0"}
    morning.run("approve", morning.card, "--yes")
    after = json.loads(morning.run(*asked, "--json", **home).stdout)
    assert Decimal(after["people"]["usd"]) == 3
    assert after["people"]["seconds"] == 120
    assert after["total"] == before["total"]
    assert morning.run(*asked, **home).stdout.endswith(
        "1 card was answered by people: 120 s of their time, 3.00 USD beside the total.\n"
    )
    (registry / "prices.yaml").write_text(rate.replace("90", "0"))
    broken = morning.run(*asked, "--json", **home)
    assert json.loads(broken.stdout)["people"] is None
    assert "people's time is left out: the registry has problems" in broken.stderr
    (registry / "prices.yaml").unlink()
    assert morning.run(*asked, **home).stdout.endswith(
        "1 card was answered by people; nobody has declared what their time costs.\n"
    )
