"""The past can be priced anew beside the ledger, which stays as it was."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import cli as loops
from drivers.store import store_at
from drivers.store.store import SqlStore
from governance.errors import StoreError
from governance.parts import usd
from governance.records import LedgerRow
from tests.analytics.golden import HOUSE, SONNET, tell_all
from tests.governance.registry_texts import FILES

CONTRACT = f"""\
models:
  - {{model: {SONNET}, starts: 2026-11-21, ends: 2026-11-22, discount: 0.5}}
  - model: {HOUSE}
    starts: 2026-11-01
    input_usd: 1
    output_usd: 2
    cache_read_usd: 0
    cache_write_5m_usd: 1
    cache_write_1h_usd: 1
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    root = tmp_path / "registry"
    for name, text in (FILES | {"prices.yaml": CONTRACT}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlStore:
    url, blobs = f"sqlite://{tmp_path}/store.db", str(tmp_path / "blobs")
    monkeypatch.setenv("LOOPRAIL_STORE_URL", url)
    monkeypatch.setenv("LOOPRAIL_BLOBS", blobs)
    opened = store_at(url, blobs)
    assert isinstance(opened, SqlStore)
    return opened


@pytest.fixture
def ledger(store: SqlStore) -> tuple[LedgerRow, ...]:
    return asyncio.run(tell_all(store))


def rerate(registry: Path, *args: str) -> Result:
    return CliRunner().invoke(
        loops, ["rerate", "--registry", str(registry), *args], catch_exceptions=False
    )


def whole(store: SqlStore) -> tuple[LedgerRow, ...]:
    return asyncio.run(store.ledger(after_seq=0))


def test_it_shows_by_model_what_was_and_what_would_be_and_writes_nothing_when_asked_so(
    ledger: tuple[LedgerRow, ...], store: SqlStore, registry: Path
):
    told = json.loads(rerate(registry, "--dry-run", "--json").stdout)
    assert told["rerate"] is None
    found = {row["model"]: row for row in told["rows"]}
    (day,) = [r for r in ledger if r.name == SONNET and _day(r) == 21 and r.cost]
    assert day.cost is not None
    assert Decimal(found[SONNET]["difference_usd"]) == -usd(day.cost) / 2
    house = found[HOUSE]
    assert (house["was_unknown_calls"], house["still_unknown_calls"]) == (1, 0)
    assert Decimal(house["now_usd"]) == (777 * Decimal(1) + 77 * Decimal(2)) / 10**6
    assert Decimal(told["total"]["was_usd"]) == usd(sum(r.cost or 0 for r in ledger))
    with pytest.raises(StoreError, match="there is no 'rerate-1'"):
        asyncio.run(store.rerated("rerate-1"))


def test_it_stands_beside_the_ledger_with_who_and_why_and_changes_no_row(
    ledger: tuple[LedgerRow, ...], store: SqlStore, registry: Path
):
    for n in (1, 2):
        done = rerate(registry, "--why", "a discount was missing", "--as", "noor", "--json")
        assert json.loads(done.stdout)["rerate"] == f"rerate-{n}"
    assert whole(store) == ledger
    rows = asyncio.run(store.rerated("rerate-1"))
    answered = [r for r in ledger if r.kind == "model" and r.status in ("done", "late")]
    assert {(r.key, r.attempt) for r in rows} == {(r.key, r.attempt) for r in answered}
    assert all(r.cost is not None and r.price["price_book"] for r in rows)
    assert sum(r.list_cost or 0 for r in rows) == sum(r.cost or 0 for r in ledger)


def test_without_a_contract_the_ledger_is_what_it_was(
    ledger: tuple[LedgerRow, ...], registry: Path
):
    (registry / "prices.yaml").unlink()
    told = json.loads(rerate(registry, "--dry-run", "--json").stdout)
    assert Decimal(told["total"]["difference_usd"]) == 0


def test_days_and_model_say_which_calls(ledger: tuple[LedgerRow, ...], registry: Path):
    asked = ("--since", "2026-11-21", "--until", "2026-11-22", "--model", SONNET)
    told = json.loads(rerate(registry, *asked, "--dry-run", "--json").stdout)
    assert (told["total"]["calls"], [r["model"] for r in told["rows"]]) == (1, [SONNET])


def test_without_a_reason_nothing_is_put_on_record(ledger: tuple[LedgerRow, ...], registry: Path):
    refused = rerate(registry, "--since", "2026-11-01")
    assert refused.exit_code == 2
    assert "--why takes 1 to 2,000 visible characters; or ask for --dry-run" in refused.stderr


def test_one_that_was_interrupted_is_not_taken_for_whole(
    ledger: tuple[LedgerRow, ...], store: SqlStore
):
    named = asyncio.run(store.begin_rerate(by="noor", why="x", about="all", now=1))
    with pytest.raises(StoreError, match="never finished"):
        asyncio.run(store.rerated(named))


def _day(row: LedgerRow) -> int:
    return datetime.fromtimestamp(row.started_at / 1000, UTC).day
