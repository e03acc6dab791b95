"""Chaos by chance for as long as you like: `make soak HOURS=8`.

Story after story is told with lives killed by chance, and every so often a server with them; each must end as it does
unharmed. What went wrong is in the report with the seed that brings it back, beside how the memory of the long-lived
processes grew. Exit code 1 when anything went wrong.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.fates import ByChance, passed
from tests.chaos.lives import Lives
from tests.chaos.stories import DELEGATES, TICKETS, Story
from tests.chaos.telling import Telling, patiently
from tests.chaos.town import Town
from tests.chaos.truth import Ending

SERVERS = ("forge", "model", "prefect")
SERVER_DIES = 0.15
"""Share of tellings in which a server dies, too."""


@dataclass
class Soak:
    """What came of it so far."""

    began: float = field(default_factory=time.monotonic)
    tellings: int = 0
    kills: int = 0
    server_kills: int = 0
    samples: int = 0
    wrong: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    memory: dict[str, list[tuple[float, float]]] = field(
        default_factory=dict[str, list[tuple[float, float]]]
    )
    """Proportional set size in MB by process, with the hour it was read at."""

    @property
    def hours(self) -> float:
        """How long it has been going."""
        return (time.monotonic() - self.began) / 3600

    def weigh(self, pids: dict[str, int]) -> None:
        """Note what each process holds now."""
        for name, pid in pids.items():
            if (size := pss_mb(pid)) is not None:
                self.memory.setdefault(name, []).append((self.hours, size))

    def report(self) -> dict[str, Any]:
        """All of it, for a file."""
        minutes = self.hours * 60
        return {
            "hours": round(self.hours, 3),
            "tellings": self.tellings,
            "kills": self.kills,
            "server_kills": self.server_kills,
            "kills_per_minute": round(self.kills / minutes, 1),
            "moments_the_money_was_right": self.samples,
            "wrong": self.wrong,
            "memory_mb": {
                name: {
                    "first": round(told[0][1], 1), "last": round(told[-1][1], 1),
                    "mb_per_hour": round(slope(told[len(told) // 4 :]), 2),
                }
                for name, told in self.memory.items()
            },
        }  # fmt: skip


def pss_mb(pid: int) -> float | None:
    """Proportional set size of a process and its children, or None when it is gone."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return own + sum(pss_mb(int(child)) or 0 for child in children)


def slope(told: list[tuple[float, float]]) -> float:
    """Least squares over (hour, MB): MB an hour; the first quarter, when caches fill, is left out by the caller."""
    if len(told) < 2:
        return 0.0
    mean_x, mean_y = (sum(v) / len(told) for v in zip(*told, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in told)
    return sum((x - mean_x) * (y - mean_y) for x, y in told) / spread if spread else 0.0


async def soak(town: Town, hours: float, seed: int, report: Path) -> Soak:
    """Tell stories until the time is over; the report is on disk after each of them."""
    done, expected = Soak(), dict[str, tuple[Telling, Ending]]()
    town.start_worker("worker-0")
    async with Lives(town.home / "lives", town.environment()) as lives:
        for story in (TICKETS, DELEGATES):
            unharmed = Telling(town, lives, story, f"{story.name}-unharmed")
            expected[story.name] = unharmed, await unharmed.to_the_end()
        while done.hours < hours:
            await one(town, lives, done, expected, seed + done.tellings)
            done.weigh({**{n: p.pid for n, p in town.processes.items()}, "zygote": lives.pid})
            report.write_text(json.dumps(done.report(), indent=1))
            print(
                f"{done.hours:6.2f} h  {done.tellings:,} told, {done.kills:,} kills, {len(done.wrong)} wrong"
            )
    return done


async def one(
    town: Town, lives: Lives, done: Soak, expected: dict[str, tuple[Telling, Ending]], seed: int
) -> None:
    """One story with this seed; what is wrong with its end is noted."""
    chance = random.Random(seed)
    story: Story = chance.choice((TICKETS, DELEGATES))
    first, unharmed = expected[story.name]
    fate = ByChance(seed, passed(first.told))
    telling = Telling(town, lives, story, f"soak-{seed}", fate, forced=chance.random() < 0.7)
    told = asyncio.create_task(patiently(telling))
    try:
        if chance.random() < SERVER_DIES:
            await asyncio.sleep(chance.uniform(0.5, 6))
            name = chance.choice(SERVERS)
            await town.kill(name)
            await town.back(name)
            done.server_kills += 1
        ending = await told
        differs = ending.differs(unharmed)
        if differs:
            done.wrong.append({"seed": seed, "story": story.name, "differs": differs})
        else:
            shutil.rmtree(town.home / telling.name)
    except (AssertionError, TimeoutError, RuntimeError) as error:
        done.wrong.append({"seed": seed, "story": story.name, "error": repr(error)})
    finally:
        told.cancel()
        done.tellings += 1
        done.kills += telling.kills
        done.samples += telling.truth.samples


def main() -> None:
    """Soak, and say where the report is."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--report", type=Path, default=Path(".looprail/soak.json"))
    asked = parser.parse_args()
    asked.report.parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="looprail-soak-"))
    with Town(home / "town") as town:
        done = asyncio.run(soak(town, asked.hours, asked.seed, asked.report))
    if not done.wrong:
        shutil.rmtree(home)
    print(f"{json.dumps(done.report(), indent=1)}\nReport: {asked.report}")
    sys.exit(bool(done.wrong))


if __name__ == "__main__":
    main()
