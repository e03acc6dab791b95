"""What does it cost to put a call on the ledger, beside the bare database doing the same writes?

One call is T4 (reserve, journal, open span) and T5 (settle, journal, close span), each durable when it returns. Each
process calls as fast as it can, so that with many of them every call waits behind all the others; with `--rate` they
call so many times a second together, at random moments. The ratio is that to the bare database whose processes take
turns, as ours do.
"""

import argparse
import asyncio
import multiprocessing
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any

from benchmarks.ledger_contenders import CONTENDERS, LOOP, Calls, Timed, Told
from benchmarks.ledger_fill import fill
from benchmarks.ledger_homes import Home, On, home
from governance.parts import short_id
from governance.records import Budget, Finding


def contend(name: str, told: Told, ready: Any, out: Any) -> None:
    """One process of a contender."""
    calls = Calls(told, ready)
    CONTENDERS[name](told, calls)
    out.put(calls.timed())


def measure(name: str, at: Home, processes: int, seconds: float, rate: float) -> list[Timed]:
    """All processes of one contender, started together on one store."""
    run = short_id("r", name, str(time.time_ns()))
    items = asyncio.run(_items(at, run, processes))
    spawn = multiprocessing.get_context("spawn")
    ready, out = spawn.Barrier(processes), spawn.Queue()
    every = processes / rate if rate else 0.0
    started = [
        spawn.Process(
            target=contend, args=(name, Told(at, run, item, 1, seconds, every), ready, out)
        )
        for item in items
    ]
    for process in started:
        process.start()
    found = [out.get(timeout=seconds + 120) for _ in started]
    for process in started:
        process.join()
    return found


async def _items(at: Home, run: str, count: int) -> list[str]:
    """So many new claimed items; their ids lie anywhere among those that are there."""
    store = at.open()
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
def scratch(rows: int, on: On, directory: Path | None) -> Generator[Home]:
    """A store with that many rows on its ledger, gone when this ends."""
    with home(on, directory) as made:
        began = time.monotonic()
        fill(made, rows)
        print(f"\n{rows:,} rows on the ledger, made in {time.monotonic() - began:.0f} s")
        yield made


def show(name: str, timed: list[Timed], seconds: float, base: float | None) -> float:
    """One row; the median of a call (T4 and T5 together)."""
    reserve = [s for t in timed for s in t.reserve]
    settle = [s for t in timed for s in t.settle]
    calls = [a + b for t in timed for a, b in zip(t.reserve, t.settle, strict=True)]
    p50, p99 = (quantiles(calls, n=100)[at] for at in (49, 98))
    cpu = sum(t.cpu_s for t in timed) / len(calls)
    ratio = f"{p50 / base:.2f}" if base else ""
    late = sum(s > 0.1 for s in (*reserve, *settle))
    print(
        f"  {name:14}{len(calls) / seconds:8,.0f}{1e3 * p50:9.3f}{1e3 * p99:9.3f}{1e3 * max(calls):9.1f}"
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
    parser.add_argument("--on", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="calls a second of all processes; else all they can"
    )
    parser.add_argument("--home", type=Path, help="where the scratch directory is made")
    told = parser.parse_args()
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {told.on}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    for rows in told.rows:
        with scratch(rows, told.on, told.home) as at:
            for processes in told.processes:
                print(f"{processes} process{'es' if processes > 1 else ''}")
                print(
                    f"  {'':14}{'calls/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'T4 max':>9}{'T5 max':>9}"
                    f"{'>100ms':>8}{'CPU us':>9}{'ratio':>8}"
                )
                base = None
                for name in CONTENDERS:
                    timed = measure(name, at, processes, told.seconds, told.rate)
                    p50 = show(name, timed, told.seconds, base)
                    base = base or p50


if __name__ == "__main__":
    main()
