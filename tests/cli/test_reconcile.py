"""`loops reconcile` compares the ledger with the provider's export, and books only what it explains."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.filled import NOW, Filled, invoke
from tests.drivers.test_usage_report import USAGE

DAY = datetime.fromtimestamp((NOW - 80_000) / 1000, UTC).date()
LATER = NOW + 3 * 86_400_000


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.reconcile.now_ms", lambda: LATER)


def export(home: Path, output: int, taken: int = LATER) -> Path:
    cells = f"{DAY},claude-sonnet-4-6,a,Default,standard,≤ 200k,1204,0,0,0,{output},0,global,\n"
    next_day = f"{DAY + timedelta(1)},none,a,Default,standard,≤ 200k,0,0,0,0,0,0,global,\n"
    (home / "usage.csv").write_text(USAGE + cells + next_day)
    os.utime(home / "usage.csv", (taken / 1000, taken / 1000))
    return home / "usage.csv"


def statuses(morning: Filled) -> list[str]:
    rows = asyncio.run(morning.store.ledger())
    return sorted(r.status for r in rows if r.kind == "model")


def test_what_the_export_shows_as_not_billed_is_no_longer_unknown(
    morning: Filled, tmp_path: Path, later: None
) -> None:
    csv = export(tmp_path, 311)
    before = statuses(morning)
    assert "unknown" in before
    dry = morning.json("reconcile", "--csv", csv, "--dry-run")
    (one,) = dry["compared"]
    assert (one["model"], one["state"], one["unknown_calls"]) == (
        "claude-sonnet-4-6",
        "resolved",
        1,
    )
    assert statuses(morning) == before
    said = morning.run("reconcile", "--csv", csv, "--as", "noor").output
    assert f"claude-sonnet-4-6  {DAY}  resolved  0.375" in said
    assert "the one unknown call not billed" in said
    assert "unknown" not in statuses(morning)
    again = morning.json("reconcile", "--csv", csv)
    assert [c["state"] for c in again["compared"]] == ["equal"]


def test_what_nothing_explains_ends_with_exit_code_1_and_changes_nothing(
    morning: Filled, tmp_path: Path, later: None
) -> None:
    before = statuses(morning)
    done = morning.run("reconcile", "--csv", export(tmp_path, 500_000))
    assert done.exit_code == 1
    assert "unexplained" in done.output
    assert "more was billed than the unknown calls can have cost" in done.output
    assert statuses(morning) == before


def test_an_export_taken_before_the_day_was_final_resolves_nothing(
    morning: Filled, tmp_path: Path, later: None
) -> None:
    before = statuses(morning)
    early = export(tmp_path, 311, taken=NOW)
    said = morning.run("reconcile", "--csv", early).output
    assert f"final until {DAY - timedelta(2)}" in said
    assert "none of them is final" in said
    assert statuses(morning) == before


def test_a_bad_export_ends_with_every_problem_and_a_missing_report_with_the_way_out(
    morning: Filled, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n")
    done = morning.process("reconcile", "--csv", str(bad))
    assert done.returncode == 2
    assert "bad.csv:1: has no column 'usage_date_utc', 'model'" in done.stderr
    assert "Traceback" not in done.stderr
    refused = invoke(morning.environment, "reconcile", "--workspace", "w")
    assert "--workspace and --api-key go with --csv" in refused.output
