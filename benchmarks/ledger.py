"""What does it cost to put a call on the ledger, beside the bare database doing the same writes?

One call is T4 (reserve, journal, open span) and T5 (settle, journal, close span), each durable when it returns. Each process
calls as fast as it can, so that with many of them every call waits behind the others.
"""

import argparse
import asyncio
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any

from benchmarks.ledger_contenders import CONTENDERS, LOOP, Calls, Timed, Told
from benchmarks.ledger_fill import fill
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from governance.parts import short_id
from governance.records import Budget, Finding


def contend(name: str, told: Told, ready: Any, out: Any) -> None:
    """One process of a contender."""
    calls = Calls(told.seconds, ready)
    CONTENDERS[name](told, calls)
    out.put(calls.timed())


def measure(name: str, path: Path, processes: int, seconds: float) -> list[Timed]:
    """All processes of one contender, started together on one store."""
    run = short_id("r", name, str(time.time_ns()))
    items = asyncio.run(_items(path, run, processes))
    spawn = multiprocessing.get_context("spawn")
    ready, out = spawn.Barrier(processes), spawn.Queue()
    started = [
        spawn.Process(target=contend, args=(name, Told(path, run, item, 1, seconds), ready, out))
        for item in items
    ]
    for process in started:
        process.start()
    found = [out.get(timeout=seconds + 120) for _ in started]
    for process in started:
        process.join()
    return found


async def _items(path: Path, run: str, count: int) -> list[str]:
    """So many new claimed items; their ids lie anywhere among those that are there."""
    store = open_store(f"sqlite://{path}", DirectoryBlobs(path.with_name("blobs")))
    far = 10**18
    caps = tuple(Budget(f"run:{run}:{unit}", run, far) for unit in ("steps", "tokens", "usd"))
    await store.open_run(
        run, loop=LOOP, slot=run, flow_run="f", definition="sha256:d", budgets=caps, now=1
    )
    names = [f"{Random().getrandbits(64):x}" for _ in range(count)]
    items = [short_id("i", LOOP, name, run) for name in names]
    findings = tuple((i, Finding(n, n, "")) for i, n in zip(items, names, strict=True))
    steps = (Budget("item:{item}:steps", run, far),)
    await store.found(
        run, findings, definition="sha256:d", budgets=steps, state=None, summary="", now=2
    )
    for item in items:
        await store.claim(item, flow_run=item, now=3, lease=10**15, max_lives=10)
    store.disconnect()
    return items


@contextmanager
def scratch(rows: int, home: Path | None) -> Iterator[Path]:
    """A store with that many rows on its ledger, gone when this ends."""
    with tempfile.TemporaryDirectory(prefix="looprail-ledger-", dir=home) as directory:
        path = Path(directory) / "store.db"
        open_store(f"sqlite://{path}", DirectoryBlobs(path.with_name("blobs"))).disconnect()
        began = time.monotonic()
        fill(path, rows)
        size = path.stat().st_size / 2**20
        print(
            f"\n{rows:,} rows on the ledger, {size:,.0f} MB, made in {time.monotonic() - began:.0f} s"
        )
        yield path


def show(name: str, timed: list[Timed], base: float | None) -> float:
    """One row; the median of a call (T4 and T5 together)."""
    reserve = [s for t in timed for s in t.reserve]
    settle = [s for t in timed for s in t.settle]
    calls = [a + b for t in timed for a, b in zip(t.reserve, t.settle, strict=True)]
    p50, p99 = (quantiles(calls, n=100)[at] for at in (49, 98))
    cpu = sum(t.cpu_s for t in timed) / len(calls)
    ratio = f"{p50 / base:.2f}" if base else ""
    late = sum(s > 0.1 for s in (*reserve, *settle))
    print(
        f"  {name:14}{len(calls):8,}{1e3 * p50:9.3f}{1e3 * p99:9.3f}{1e3 * max(calls):9.1f}"
        f"{1e3 * max(reserve):9.1f}{1e3 * max(settle):9.1f}{late:8}{1e6 * cpu:9.0f}{ratio:>8}",
        flush=True,
    )
    return p50


def main() -> None:
    """Measure each number of processes on each size of ledger."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 20])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[10_000],
        help="rows on the ledger before; 10000000 takes about 20 GB and minutes to make",
    )  # fmt: skip
    parser.add_argument("--home", type=Path, help="where the scratch directory is made")
    told = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    for rows in told.rows:
        with scratch(rows, told.home) as path:
            for processes in told.processes:
                print(f"{processes} process{'es' if processes > 1 else ''}")
                print(
                    f"  {'':14}{'calls':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'T4 max':>9}{'T5 max':>9}"
                    f"{'>100ms':>8}{'CPU us':>9}{'ratio':>8}"
                )
                base = None
                for name in CONTENDERS:
                    p50 = show(name, measure(name, path, processes, told.seconds), base)
                    base = base or p50


if __name__ == "__main__":
    main()
