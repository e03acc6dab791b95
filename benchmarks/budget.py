"""Money for a hundred calls, four hundred asked for by fifty callers at once: who serves how many, and who overshoots?

The callers, their calls and the far side are those of `tests/money`; only what says yes or no differs: our edge and
store, a plain ledger that reserves the worst case or refuses, and a counter that is checked first and added to
afterwards.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.budget_rivals import RIVALS, Account, database
from tests.money.rounds import Seen, Stage, stage
from tests.money.stores import new_store


async def _rival(on: Stage, accounts: str, name: str, seed: int) -> Seen:
    told = on.round(seed + 1_000 * (1 + list(RIVALS).index(name)), calls_of=seed)
    account = Account(database(accounts), told.run, told.cap)
    await account.open()
    more = {
        "act": "benchmarks.budget_rivals:act", "accounts": accounts, "account": told.run,
        "cap": told.cap, "rival": name,
    }  # fmt: skip
    seen = await told.tell_on([{**order, **more} for order in await told.orders()])
    return replace(seen, end=replace(seen.end, spent=await account.spent()))


async def _measure(rounds: int, on: Stage, accounts: str) -> dict[str, list[Seen]]:
    found: dict[str, list[Seen]] = {name: [] for name in ("Looprail", *RIVALS)}
    for seed in range(rounds):
        found["Looprail"].append(await on.tell(seed, kill=False))
        for name in RIVALS:
            found[name].append(await _rival(on, accounts, name, seed))
    return found


def show(name: str, told: list[Seen]) -> None:
    """One contender: medians over its rounds, and the worst overshoot."""

    def middle(of: Callable[[Seen], float]) -> float:
        return median(of(seen) for seen in told)

    over = [max(0, seen.bill - seen.cap) / seen.cap for seen in told]
    print(
        f"{name:20}{middle(lambda s: s.counted['served']):8.0f}{100 * middle(lambda s: s.bill / s.cap):9.1f} %"
        f"{100 * median(over):9.1f} %{100 * max(over):9.1f} %{middle(lambda s: s.early):8.0f}"
        f"{middle(lambda s: s.counted['refused'] + s.counted['early']):9.0f}{middle(lambda s: s.counted['given up']):7.0f}"
        f"{middle(lambda s: s.seconds):8.2f}"
    )


def main() -> None:
    """Each contender in turn, round after round, over the same draws."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budget", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--on", choices=("sqlite", "postgres"), default="sqlite")
    told = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="looprail-budget-") as home,
        new_store(told.on, Path(home)) as url,
        stage(url, Path(home)) as on,
    ):
        accounts = f"sqlite://{home}/accounts.db" if told.on == "sqlite" else url
        found = asyncio.run(_measure(told.rounds, on, accounts))
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}, {os.cpu_count()} cores, on {told.on}, {told.rounds} rounds each in "
        f"{time.monotonic() - began:.0f} s; medians of a round of 400 calls\n"
    )
    print(
        f"{'':20}{'served':>8}{'billed':>11}{'over':>11}{'worst':>11}{'early':>8}{'refused':>9}{'lost':>7}{'s':>8}"
    )
    for name, seen in found.items():
        show(name, seen)


if __name__ == "__main__":
    main()
