"""Does a crowd of items get through one small machine, all of them, once, within its memory?

A heartbeat finds a hundred tickets at once; every item asks a slow model three times. The work pool's default limit
decides how many are under way. Ideal is what that limit allows when nothing but the model takes any time.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx

from benchmarks.meter import tree_rss_mb, tree_seconds
from demo.forge.state import State
from demo.postgres import postgres
from demo.prefect_api import PrefectApi
from demo.world import ROOT, DemoWorld
from drivers.store import store_at
from governance.memory import Store
from governance.records import ItemRow

LOOP = "tickets"
SEEDED = 4
"""New tickets that the forge seeds by itself."""
ANSWERS = 3
"""Model calls an item needs: look, sort, report."""
FIRINGS = 9
PATIENCE_S = 3600.0
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


@dataclass(frozen=True)
class Crowd:
    """How the crowd fared."""

    items: tuple[ItemRow, ...]
    seconds: float
    peak_mb: float
    busy_cores: float
    second_beat: str
    """How the heartbeat ended that was fired while every slot of the pool was taken."""


class Place(DemoWorld):
    """The world with many tickets, a slow model, and a deployment of nothing at all beside ours."""

    def __init__(
        self, home: Path, *, tickets: int, latency_s: float, limit: int, database: str | None
    ) -> None:
        latency = ("--latency-ms", str(1000 * latency_s))
        registry = ROOT / "benchmarks" / "registry"
        super().__init__(
            home, registry=registry, limit=limit, model_options=latency, database=database
        )
        state = State(home / "forge" / "forge.db")
        for n in range(SEEDED, tickets):
            state.write(
                "INSERT INTO tickets VALUES (?, ?, ?, 'many@customer.example', 'new', '[]')",
                f"NW-{1000 + n}", f"Question {n}", f"How do I change order {n}?",
            )  # fmt: skip
        state.close()
        self.latency_s, self.limit, self.tickets = latency_s, limit, tickets

    def deploy(self) -> None:
        """The benchmark's loops, and the baseline."""
        super().deploy()
        self.run(
            "prefect", "--no-prompt", "deploy", "--prefect-file",
            str(ROOT / "benchmarks" / "prefect.yaml"), "--all",
        )  # fmt: skip

    @property
    def ideal_s(self) -> float:
        """Seconds when nothing but the model takes time: the look's answer, then full rounds of the pool."""
        rounds = -(-self.tickets // self.limit)
        return self.latency_s * (1 + rounds * ANSWERS)


def main() -> None:
    """Measure, and print each figure beside the baseline of the same run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.concurrency", description=__doc__)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--latency-s", type=float, default=5.0, help="of one answer of the model")
    parser.add_argument("--limit", type=int, default=8, help="of the work pool: four per core")
    parser.add_argument("--firings", type=int, default=FIRINGS)
    parser.add_argument(
        "--prefect-on", choices=("postgres", "sqlite"), default="postgres", help="its database"
    )
    told = parser.parse_args()
    database = postgres() if told.prefect_on == "postgres" else nullcontext()
    with tempfile.TemporaryDirectory(prefix="looprail-bench-") as home, database as url:
        place = Place(
            Path(home), tickets=told.items, latency_s=told.latency_s, limit=told.limit, database=url
        )
        with place:
            print(
                f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, load "
                f"{os.getloadavg()[0]:.1f}, Prefect on {told.prefect_on}"
            )
            asyncio.run(_measure(place, told.firings))


async def _measure(place: Place, firings: int) -> None:
    api, store = (
        PrefectApi(place.api_url, place.keys.prefect),
        store_at(place.store_url, place.blobs),
    )
    show_crowd(place, await crowd(place, api, store))
    await firing(api, store, firings)
    api.close()


async def crowd(place: Place, api: PrefectApi, store: Store) -> Crowd:
    """Fire once, fire again when the pool is full, and follow all until the last has ended."""
    roots = [p.pid for p in place.processes.values()]
    began, busy = time.monotonic(), _busy(roots)
    first = api.trigger(f"heartbeat/{LOOP}")
    second, peak = "", 0.0
    while True:
        peak = max(peak, sum(map(tree_rss_mb, roots)))
        items = await store.items(loop=LOOP, limit=10_000)
        working = sum(i.status == "working" for i in items)
        if not second and working >= min(place.limit, place.tickets):
            second = api.trigger(f"heartbeat/{LOOP}")
        if items and all(i.status in ("done", "stopped") for i in items):
            break
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(
                f"{working} of {len(items)} items still under way; first beat {first}"
            )
        await asyncio.sleep(1)
    seconds = time.monotonic() - began
    cores = (_busy(roots) - busy) / seconds
    return Crowd(items, seconds, peak, cores, await _ending(api, second) if second else "not fired")


def _busy(roots: Sequence[int]) -> float:
    return sum(map(tree_seconds, roots))


async def _ending(api: PrefectApi, flow_run: str) -> str:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        state = api.flow_run(flow_run)["state"]
        if state["type"] in FINAL:
            return f"{state['name']} ({state.get('message') or 'no message'})"
        await asyncio.sleep(1)
    return "still waiting two minutes after the last item"


def show_crowd(place: Place, seen: Crowd) -> None:
    """Nothing lost, how long against the ideal, how much memory."""
    done = sum(i.status == "done" for i in seen.items)
    once = _effects(place)
    rows = (
        ("items found of tickets seeded", f"{len(seen.items)} of {place.tickets}"),
        ("items done", f"{done} of {len(seen.items)}"),
        ("comments made, tickets commented", f"{once[0]}, {once[1]}"),
        ("wall time", f"{seen.seconds:.0f} s"),
        (
            f"ideal at limit {place.limit} ({ANSWERS} answers of {place.latency_s:g} s an item)",
            f"{place.ideal_s:.0f} s",
        ),
        ("wall time against the ideal", f"{seen.seconds / place.ideal_s:.2f}"),
        ("peak memory of all processes (PSS)", f"{seen.peak_mb:,.0f} MB"),
        ("cores kept busy on average", f"{seen.busy_cores:.2f} of {os.cpu_count()}"),
        ("heartbeat fired while the pool was full", seen.second_beat),
    )
    for name, value in rows:
        print(f"{name:60}{value}")


def _effects(place: Place) -> tuple[int, int]:
    """Comments that the ticket system really took, and how many tickets got one."""
    answer = httpx.get(
        f"{place.forge_url}/_calls",
        params={"connector": "linear", "tool": "comment_ticket"},
        headers={"Authorization": f"Bearer {place.keys.forge}"},
    )
    made = [c for c in answer.raise_for_status().json() if not c["is_error"] and not c["replayed"]]
    return len(made), len({c["arguments"]["id"] for c in made})


async def firing(api: PrefectApi, store: Store, firings: int) -> None:
    """From the trigger to the first effect on the ledger, beside a bare flow's first line."""
    ours, bare = [], []
    for _ in range(firings):
        bare.append(await _bare_start(api))
        ours.append(await _first_effect(api, store))
    for name, seconds in (
        ("firing to first effect", ours),
        ("bare flow: firing to its first line", bare),
    ):
        print(f"{name:60}p50 {median(seconds):.1f} s, max {max(seconds):.1f} s, n = {len(seconds)}")
    print(f"{'ratio of the medians':60}{median(ours) / median(bare):.2f}")


async def _first_effect(api: PrefectApi, store: Store) -> float:
    """Seconds until the cheap look was admitted: the first effect of a heartbeat."""
    began = time.time()
    flow_run = api.trigger(f"heartbeat/{LOOP}")
    await _ending(api, flow_run)
    run = next(r for r in await store.runs(loop=LOOP) if r.flow_run == flow_run)
    return min(row.started_at for row in await store.ledger(run=run.run)) / 1000 - began


async def _bare_start(api: PrefectApi) -> float:
    began = time.time()
    flow_run = api.trigger("bare-start/bare")
    await _ending(api, flow_run)
    shown = api.flow_run(flow_run)["start_time"]
    return datetime.fromisoformat(shown.replace("Z", "+00:00")).timestamp() - began


if __name__ == "__main__":
    main()
