"""Does one budget hold against many processes, and does a killed one leave everything usable?"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from governance.records import Budget
from tests.drivers.store.homes import Home
from tests.drivers.store.story import RUN, Story

ROOT = Path(__file__).parents[3]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def _child(home: Home, item: str, lane: str, pairs: int, mode: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.drivers.store.child", home.url, str(home.directory), item, lane, str(pairs), mode,
        stdin=PIPE, stdout=PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


async def _prepare(home: Home, cap: int) -> str:
    store = home.open()
    story = Story(store)
    await story.open_run(RUN, "06:00", Budget("run:r1:usd", RUN, cap))
    (item,) = await story.find("a")
    await story.claim(item.item)
    store.disconnect()
    return item.item


async def _together(children: list[Process]) -> list[dict[str, object]]:
    for child in children:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"ready\n"
    told = await asyncio.gather(*(child.communicate(b"go\n") for child in children))
    return [json.loads(out.splitlines()[-1]) for out, _ in told]


def _healthy(home: Home) -> None:
    """Whoever looks with other programs than ours finds a whole database, and nobody in a transaction."""
    if home.url.startswith("sqlite"):
        assert home.ask("PRAGMA integrity_check") == [("ok",)]
        return
    assert home.ask("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'") == []
    assert home.ask("SELECT 1 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'") == []


async def test_four_processes_never_overshoot_one_budget(home: Home) -> None:
    item = await _prepare(home, cap=5 * 700)
    told = await _together([await _child(home, item, f"p{n}", 60, "hold") for n in range(4)])
    store = home.open()
    admitted = sum(int(t["admitted"]) for t in told)
    assert sum(int(t["asked"]) for t in told) == 960
    assert admitted == 700
    assert await store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 3500, held=3500)
    assert len(await store.ledger(run=RUN)) == 700
    store.disconnect()
    _healthy(home)


async def test_four_processes_lose_no_update(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    item = await _prepare(home, cap=10**9)
    told = await _together([await _child(home, item, f"p{n}", 60, "settle") for n in range(4)])
    store = home.open()
    assert sum(int(t["admitted"]) for t in told) == 960
    assert await store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 10**9, spent=3 * 960)
    rows = await store.ledger(after_seq=0)
    assert [r.seq for r in rows] == list(range(1, 961))
    store.disconnect()
    _healthy(home)
    waits = sorted(w for t in told for w in t["waits"])
    with capsys.disabled():
        print(
            f"\n4 processes, 4 tasks each: intend p50 {waits[480] * 1e3:.1f} ms, p99 {waits[950] * 1e3:.1f} ms, "
            f"max {waits[-1] * 1e3:.1f} ms"
        )
    assert waits[950] < 3.0


async def test_a_killed_process_leaves_a_usable_store_and_its_holds_unknown(home: Home) -> None:
    item = await _prepare(home, cap=10**9)
    doomed = await _child(home, item, "doomed", 0, "forever")
    survivor = await _child(home, item, "survivor", 40, "settle")
    assert doomed.stdin is not None
    assert doomed.stdout is not None
    assert await doomed.stdout.readline() == b"ready\n"
    doomed.stdin.write(b"go\n")
    assert await doomed.stdout.readline() == b"going\n"
    asked = asyncio.ensure_future(_together([survivor]))
    await asyncio.sleep(0.2)
    doomed.send_signal(signal.SIGKILL)
    await doomed.wait()
    (told,) = await asked
    assert told["admitted"] == 160

    _healthy(home)
    store = home.open()
    rows = await store.ledger(run=RUN)
    open_tries = [r for r in rows if r.status == "open"]
    budget = await store.budget("run:r1:usd", RUN)
    assert budget is not None
    assert budget.held == 5 * len(open_tries)
    assert budget.spent == 3 * (len(rows) - len(open_tries))
    assert len(await store.sweep(5001)) == len(open_tries)
    assert await store.budget("run:r1:usd", RUN) == Budget(
        "run:r1:usd", RUN, 10**9, spent=budget.spent, unknown=budget.held
    )
    store.disconnect()
