"""Does a loop go on spending for nothing?

Judged over the runs that asked a model since somebody last said to go on: one that asked none cost nothing, and
neither trips the breaker nor resets it. A run is fruitful when one of its items is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from governance.effects import Stop
from governance.parts import usd

REMEMBERED = 50
"""Runs that are looked at, the newest."""

GROWN = 2
"""So many times the cost of the cheapest run of the streak is growth, and no noise."""


@dataclass(frozen=True)
class BreakerRow:
    """One pause of a loop that spent for nothing; over once somebody resumed it."""

    loop: str
    nth: int
    run: str
    """The run after which it tripped."""
    why: str
    at: int
    resumed_at: int | None = None
    resumed_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Ending:
    """How one run ended."""

    run: str
    fruitful: bool
    paid: bool
    """It asked a model; what that cost may be unknown."""
    cost: int
    """pico-USD."""
    ends: tuple[tuple[str, str], ...] = ()
    """Stop reason and dedupe key of each item that ended otherwise than done; its own stop under an empty key."""


def tripped(endings: Sequence[Ending], after: int) -> str | None:
    """Why the loop's trigger is to be paused, or None. `endings` newest first, each run closed.

    The same finding ended the same way `after` times in a row; or all findings ended the same way, whatever they were
    called, once more than that; or as many runs bought nothing while what a run costs doubled.
    """
    streak = _fruitless(endings)
    for times, prints, what in (
        (after, _by_finding, "the same finding ended the same way"),
        (after + 1, _by_reason, "every finding ended the same way"),
    ):
        last = streak[:times]
        same = set.intersection(*(prints(e) for e in last)) if len(last) == times else set[str]()
        if same:
            return f"{what} in {times:,} runs in a row, and nothing was accepted: {min(same)}. {_cost(last)}"
    if len(streak) > after and streak[0].cost >= GROWN * min(e.cost for e in streak) > 0:
        return (
            f"{len(streak):,} runs in a row had nothing accepted, and the last cost {usd(streak[0].cost):.4f} USD, "
            f"at least {GROWN} times the cheapest of them. {_cost(streak)}"
        )
    return None


def breaker_stop(broken: BreakerRow) -> Stop:
    """What a firing of a paused loop is told."""
    return Stop(
        "breaker",
        f"loop {broken.loop!r} was paused after run {broken.run}: {broken.why} Look at it with "
        f"`loops state {broken.loop}`; let it go on with `loops resume {broken.loop} --reason TEXT`.",
    )


def _fruitless(endings: Sequence[Ending]) -> list[Ending]:
    streak: list[Ending] = []
    for ending in endings[:REMEMBERED]:
        if ending.fruitful:
            break
        if ending.paid:
            streak.append(ending)
    return streak


def _by_finding(ending: Ending) -> set[str]:
    return {f"{reason}: {dedupe}" if dedupe else reason for reason, dedupe in ending.ends}


def _by_reason(ending: Ending) -> set[str]:
    reasons = {reason for reason, _ in ending.ends}
    return reasons if len(reasons) == 1 else set()


def _cost(runs: Sequence[Ending]) -> str:
    return f"They cost {usd(sum(e.cost for e in runs)):.4f} USD (computed)."
