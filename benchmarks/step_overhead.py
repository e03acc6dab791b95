"""What does a step cost besides the model and the tool, and does that grow with the conversation?

One running Prefect server, one scripted model, one MCP server; each contender is a fresh process that makes the same
N model calls and N tool calls. Client and server processor time are counted apart. The baseline is two bare
persisted Prefect tasks a step around the vendors' own SDK calls.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.contenders.assignment import WARM_STEPS, Assignment, Report
from benchmarks.meter import Cost
from demo.world import ROOT, DemoWorld

PEERS = ROOT / ".looprail" / "bench-venv" / "bin" / "python"
BASELINE = "bare Prefect tasks"
AT_LEAST = 100
"""Steps a contender makes in all: short conversations are repeated in the same run."""


@dataclass(frozen=True)
class Contender:
    """One row of the table: a module, and the interpreter it runs in."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    python: Path = Path(sys.executable)


OURS = Contender("Looprail", "benchmarks.contenders.ours")
HOUSE = (
    Contender(BASELINE, "benchmarks.contenders.bare"),
    OURS,
    Contender("the SDK calls alone", "benchmarks.contenders.alone"),
)
OTHERS = (
    Contender("pydantic-ai + Prefect", "benchmarks.contenders.peers", ("prefect",), PEERS),
    Contender("pydantic-ai + DBOS", "benchmarks.contenders.peers", ("dbos",), PEERS),
    Contender("pydantic-ai alone", "benchmarks.contenders.peers", ("plain",), PEERS),
)


class Place(DemoWorld):
    """The world without a worker: contenders are its only load."""

    def deploy(self) -> None:
        """Nothing is deployed, so nothing is scheduled meanwhile."""

    def assignment(self, steps: int, home: Path) -> Assignment:
        """What a contender is told."""
        return Assignment(
            server=self.processes["prefect"].pid,
            steps=steps,
            conversations=max(1, AT_LEAST // steps),
            model_url=self.model_url,
            model_key=self.keys.model,
            tools_url=f"{self.forge_url}/linear/mcp",
            tools_token=self.keys.forge,
            home=str(home),
        )

    def tool_calls(self) -> int:
        """How many calls the tool server has taken since it was started."""
        with closing(sqlite3.connect(self.forge.state)) as state:
            return state.execute("SELECT count(*) FROM calls").fetchone()[0]

    def contend(self, who: Contender, told: Assignment) -> Report:
        """One contender's report. Raises `RuntimeError` when it failed, or did not do all it was told."""
        before = self.tool_calls()
        env = {**self.environment(), "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "ERROR"}
        done = subprocess.run(
            (str(who.python), "-m", who.module, *who.arguments), input=json.dumps(asdict(told)),
            text=True, capture_output=True, env=env, cwd=told.home, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{who.name} ended with {done.returncode}\n{done.stderr[-3000:]}")
        made, wanted = self.tool_calls() - before, told.all_steps + WARM_STEPS
        if made != wanted:
            raise RuntimeError(f"{who.name} made {made:,} tool calls, not {wanted:,}")
        raw = json.loads(done.stdout.splitlines()[-1])
        replay = Cost(**raw["replay"]) if raw["replay"] else None
        return Report(Cost(**raw["fresh"]), replay, raw["fixed_ms"], raw["fixed_replay_ms"])


def main() -> None:
    """Measure, and print each figure beside the baseline of the same run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_overhead", description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=[20, 100, 500])
    parser.add_argument("--rounds", type=int, default=3, help="the median is shown")
    parser.add_argument("--house-only", action="store_true", help="leave the peers out")
    parser.add_argument("--json", type=Path, help="also write every single report here")
    told = parser.parse_args()
    contenders = HOUSE + (() if told.house_only else _peers())
    with tempfile.TemporaryDirectory(prefix="looprail-bench-") as home:
        options = ("--brain", "benchmarks.brain:looker")
        registry = ROOT / "benchmarks" / "registry"
        place = Place(Path(home), registry=registry, workers=0, model_options=options)
        with place:
            found = measure(place, contenders, told.steps, told.rounds)
    if told.json:
        told.json.write_text(json.dumps([(n, w, asdict(r)) for n, w, r in found], indent=1))
    print(
        f"\n{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, median of {told.rounds}"
    )
    for steps in told.steps:
        show(steps, [(who, report) for n, who, report in found if n == steps])


def _peers() -> tuple[Contender, ...]:
    if PEERS.exists():
        return OTHERS
    print("The peers are not installed, so their rows are left out: run `make bench` for them.")
    return ()


def measure(
    place: Place, contenders: Sequence[Contender], steps: Sequence[int], rounds: int
) -> list[tuple[int, str, Report]]:
    """Every contender's report for every length, in rounds so that a busy minute hits all alike."""
    found: list[tuple[int, str, Report]] = []
    for number in range(rounds):
        for n in steps:
            for who in contenders:
                home = place.home / "contenders" / f"{number}-{n}-{len(found)}"
                home.mkdir(parents=True)
                report = place.contend(who, place.assignment(n, home))
                found.append((n, who.name, report))
                load = os.getloadavg()[0]
                print(
                    f"round {number + 1}, N = {n:3}, {who.name:22} {_line(report)}, load {load:.1f}",
                    flush=True,
                )
    return found


def _line(report: Report) -> str:
    fresh = report.fresh
    return f"client {fresh.client_ms:6.1f} server {fresh.server_ms:6.1f} wall {fresh.wall_ms:6.1f} ms/step"


def show(steps: int, reports: Sequence[tuple[str, Report]]) -> None:
    """One table: milliseconds of processor time per step, and the ratio to the baseline."""
    base = [r for who, r in reports if who == BASELINE]
    print(
        f"\nN = {steps}: CPU ms per step{'client':>20}{'server':>9}{'sum':>9}{'ratio':>8}{'wall ms':>9}"
    )
    for who in dict.fromkeys(who for who, _ in reports):
        mine = [r for name, r in reports if name == who]
        _row(who, [r.fresh for r in mine], [r.fresh for r in base])
        again = [r.replay for r in mine if r.replay]
        if again:
            _row(f"  {who}, cached", again, [r.replay for r in base if r.replay])
        if fixed := median(r.fixed_ms for r in mine):
            taken = median(r.fixed_replay_ms for r in mine)
            print(
                f"  {who}, before its first step: client {fixed:.0f} ms a run, {taken:.0f} ms when taken up again"
            )


def _row(name: str, costs: Sequence[Cost], base: Sequence[Cost]) -> None:
    client, server = median(c.client_ms for c in costs), median(c.server_ms for c in costs)
    ratio = (client + server) / median(c.client_ms + c.server_ms for c in base)
    wall = median(c.wall_ms for c in costs)
    print(f"{name:32}{client:15.1f}{server:9.1f}{client + server:9.1f}{ratio:8.2f}{wall:9.1f}")


if __name__ == "__main__":
    main()
