"""How long does it take to see where the money stands, however long the ledger is?

Each size of ledger is spread over thirty days of ten loops: thirty calls a run, by three agents on two models and with
tools. `loops top` is a real process; its baseline is the same command on an empty ledger. A reading is told in seconds
by the clock and of this process's own processor time, which a busy machine does not stretch.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from demo.world import ROOT
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from drivers.store.sql import Sql
from drivers.store.store import SqlStore
from governance.parts import DAY_MS
from tests.money.stores import new_store

BATCH = 100_000
RUN_CALLS, OPEN_RUNS, DAYS = 30, 20, 30
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT CAST(:since AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :until)"
_AT = "(:now - (:rows - i) * (:span / :rows))"
_RUN = f"'r' || CAST(i / {RUN_CALLS} AS TEXT)"
_LOOP = f"'loop-' || CAST(i / {RUN_CALLS} % 10 AS TEXT)"
_TEAM = f"'team-' || CAST(i / {RUN_CALLS} % 3 AS TEXT)"
_AGENT = f"CASE WHEN i % {RUN_CALLS} < 6 THEN 'lead' WHEN i % {RUN_CALLS} < 26 THEN 'maker' ELSE 'checker' END"
_TOOL = f"i % 2 = 1 AND i % {RUN_CALLS} < 26"
_MODEL = (
    f"CASE WHEN {_TOOL} THEN 'forge.get_issue' WHEN i % {RUN_CALLS} < 26 THEN 'claude-sonnet-4-6'"
    " ELSE 'claude-opus-4-8' END"
)
_LEDGER = (
    f"{_NUMBERS} INSERT INTO ledger (key, attempt, seq, run, owner, name, loop, loop_owner, team, agent,"
    " role, fence, send_by, lease, status, started_at, ended_at, usage, reserved, cost, cost_status, price,"
    " response_model, span, parent_span, trace, attributes, list_cost)"
    f" SELECT 'k' || CAST(i AS TEXT), 1, i + 1, {_RUN}, {_RUN}, {_MODEL}, {_LOOP}, 'noor', {_TEAM}, {_AGENT}, 'lead',"
    f" 1, 9, 9, 'done', {_AT}, {_AT}, '{{\"input_tokens\":4000,\"output_tokens\":300}}', 10000000000, 1000000 + i,"
    " 'priced', '{\"price_book\":\"genai-prices\"}', 'claude-sonnet-4-6', 's' || CAST(i AS TEXT), 'p', 't',"
    f" CASE WHEN {_TOOL} THEN '{{}}' ELSE '{{\"gen_ai.request.model\":\"claude\"}}' END, 1000000 + i FROM n"
)
_METER = (
    "INSERT INTO meter (day, run, agent, model, loop, loop_owner, team, tries, cost, unknown, unpriced)"
    f" SELECT started_at / {DAY_MS}, run, agent, CASE WHEN attributes = '{{}}' THEN '' ELSE name END, min(loop),"
    " min(loop_owner), min(team), count(*), sum(cost), 0, 0 FROM ledger"
    f" GROUP BY started_at / {DAY_MS}, run, agent, CASE WHEN attributes = '{{}}' THEN '' ELSE name END"
)
_RUNS = (
    f"{_NUMBERS} INSERT INTO runs (run, loop, slot, flow_run, definition, status, open_items, opened_at)"
    f" SELECT {_RUN}, {_LOOP}, {_RUN}, 'f', 'sha256:d', CASE WHEN i >= :open THEN 'open' ELSE 'closed' END, 0,"
    f" {_AT} FROM n WHERE i % {RUN_CALLS} = 0"
)
_BUDGETS = (
    f"{_NUMBERS} INSERT INTO budgets (budget, period, cap, held, spent, unknown)"
    f" SELECT 'run:' || {_RUN} || ':usd', {_RUN}, 20000000000000, 0, 30000000, 0 FROM n WHERE i % {RUN_CALLS} = 0"
)


def fill(sql: Sql, rows: int, since: int, now: int) -> None:
    """Put a portion of that many settled calls into a new store; the last one was made `now`."""
    told = {
        "now": now, "rows": rows, "span": (DAYS - 1) * DAY_MS, "since": since,
        "until": min(rows, since + BATCH), "open": rows - OPEN_RUNS * RUN_CALLS,
    }  # fmt: skip
    for statement in (_LEDGER, _RUNS, _BUDGETS):
        sql.run(statement, **{name: v for name, v in told.items() if f":{name}" in statement})


def added_up(sql: Sql, rows: int) -> int:
    """Meter what is there, as each settling would have; how many rows the meter has then."""
    metered = sql.run(_METER)
    sql.run("UPDATE counters SET value = :rows WHERE name = 'settled'", rows=rows)
    return metered


async def filled(store: SqlStore, rows: int) -> int:
    """A store with that many calls on its ledger."""
    now = time.time_ns() // 1_000_000
    for since in range(0, rows, BATCH):
        await store.write(lambda sql, since=since: fill(sql, rows, since, now), "fill")
    return await store.write(lambda sql: added_up(sql, rows), "fill")


def looked(url: str, home: Path, *words: str) -> float:
    """Seconds that `loops top` takes as a process of its own; the middle of five."""
    place = {"LOOPRAIL_STORE_URL": url, "LOOPRAIL_BLOBS": str(home / "blobs")}
    took: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cli.main", "top", "--once", *words], cwd=ROOT, check=True,
            stdout=subprocess.DEVNULL, env={**os.environ, **place},
        )  # fmt: skip
        took.append(time.perf_counter() - began)
    return median(took)


async def read(store: SqlStore, days: int) -> tuple[float, float]:
    """Seconds that a reading takes in a process that is there already, and of its processor time; the middle of five."""
    took: list[float] = []
    used: list[float] = []
    for _ in range(5):
        began, busy = time.perf_counter(), time.process_time()
        await store.meter(days=days, now=time.time_ns() // 1_000_000)
        took.append(time.perf_counter() - began)
        used.append(time.process_time() - busy)
    return median(took), median(used)


def measure(kind: str, rows: int) -> None:
    """One size of ledger on one database."""
    with (
        tempfile.TemporaryDirectory(prefix="looprail-top-") as place,
        new_store(kind, Path(place)) as url,
    ):
        home = Path(place)
        store = open_store(url, DirectoryBlobs(home / "blobs"))
        metered = asyncio.run(filled(store, rows)) if rows else 0
        for days in (1, DAYS):
            clock, busy = asyncio.run(read(store, days))
            shown, told = (
                looked(url, home, "--days", str(days), *more) for more in ((), ("--json",))
            )
            print(
                f"{kind:9}{rows:12,}{metered:10,}{days:6}{clock:11.3f}{busy:11.3f}{shown:12.3f}{told:12.3f}",
                flush=True,
            )
        store.disconnect()


def main() -> None:
    """Each database, each size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.top", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 10_000, 1_000_000])
    parser.add_argument(
        "--on", choices=("sqlite", "postgres"), nargs="+", default=["sqlite", "postgres"]
    )
    told = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; seconds\n"
    )
    print(
        f"{'on':9}{'calls':>12}{'metered':>10}{'days':>6}{'reading':>11}{'of it CPU':>11}{'loops top':>12}{'top --json':>12}"
    )
    for kind in told.on:
        for rows in told.rows:
            measure(kind, rows)


if __name__ == "__main__":
    main()
