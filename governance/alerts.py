"""What about money is worth telling people, and in which words?

What is an alert: a share of a budget that is spent for good, a call that was refused for it, a run far dearer than its
loop's past, a call that took more than it could, a fan-out that is kept back. What is held is none, since most of it
comes back; nor is a budget that one item has for itself, since its run's report says how it ended.
"""

from collections.abc import Sequence
from statistics import median_low

from governance.approvals import moment, plain
from governance.charges import unit_of
from governance.fanout import ways_out
from governance.parts import Json, usd

RULE_SHARES = (50, 80, 100)
"""Percent of a rule's budget that people are told of, where the rule does not say."""
RUN_SHARES = (80,)
"""Of a run's own cap: early enough to raise it. That it came to its end is told as a refusal."""

SPIKE_TIMES = 3
"""So many times the middle of the loop's past runs is no ordinary run any more."""
SPIKE_PAST = 20
"""Runs of a loop that a new one is compared with, the newest that cost anything."""
SPIKE_LEAST_PAST = 5
"""With fewer there is no past to speak of."""
SPIKE_FLOOR = 100_000_000_000
"""pico-USD below which no run is worth a notice: 0.10 USD."""

_OF_RUNS = ("usd", "tokens")


def shares_of(budget: str) -> tuple[int, ...]:
    """Percent of a budget that are told of when they are passed; none for an item's, and for calls at one moment."""
    principal, unit = budget.partition(":")[0], unit_of(budget)
    if principal == "rule" and unit != "concurrent":
        return RULE_SHARES
    return RUN_SHARES if principal == "run" and unit in _OF_RUNS else ()


def told_when_refused(budget: str) -> bool:
    """Is a call refused for want of room in it news? Not for an item's own cap, and calls at one moment pass."""
    return budget.partition(":")[0] != "item" and unit_of(budget) != "concurrent"


def told_when_waited_for(budget: str) -> bool:
    """Is it news that work waits for room in it without a process? Not for an item's own cap."""
    return budget.partition(":")[0] != "item"


def crossed(shares: Sequence[int], cap: int, before: int, after: int) -> int | None:
    """The highest share that was passed between two amounts taken for good; a jump over several is one."""
    passed = [s for s in shares if before * 100 < s * cap <= after * 100]
    return max(passed, default=None)


def spike_at(past: Sequence[int]) -> int | None:
    """From how many pico-USD on a run is a spike against `past`, the costs of paid runs before it; None without a past.

    Above three times the middle one, above the dearest of them, and above the floor.
    """
    if len(past) < SPIKE_LEAST_PAST:
        return None
    return max(SPIKE_TIMES * middle(past), max(past) + 1, SPIKE_FLOOR)


def middle(past: Sequence[int]) -> int:
    """The cost that as many runs stay below as go above."""
    return median_low(past)


def said(alert: Json) -> tuple[str, str] | None:
    """Subject and body of an alert about money; None for a notice of another kind. Figures are of its moment."""
    match alert.get("kind"):
        case "share":
            return _share(alert)
        case "refused":
            return _refused(alert)
        case "waits":
            return _waits(alert)
        case "spike":
            return _spike(alert)
        case "overshoot":
            return _overshoot(alert)
        case "fan_out":
            return _fan_out(alert)
        case _:
            return None


def named(budget: str) -> str:
    """A budget as people read it: whose it is, and of which rule."""
    principal, _, rest = budget.rpartition(":")[0].partition(":")
    if principal != "rule":
        return f"{principal} {plain(rest)}"
    rule, _, who = rest.partition("/")
    return f"rule {plain(rule)}" + (f", {plain(who)}" if who not in ("", "all") else "")


def amount(value: int, unit: str) -> str:
    """So much of a unit, as people read it."""
    return f"{usd(value):,.4f} USD" if unit == "usd" else f"{value:,} {unit}"


def _share(alert: Json) -> tuple[str, str]:
    of = named(str(alert["budget"]))
    return f"{of}: {alert['share']} % of its {_what(alert)} is spent", _standing(alert)


def _refused(alert: Json) -> tuple[str, str]:
    unit = unit_of(str(alert["budget"]))
    return (
        f"{named(str(alert['budget']))}: its {_what(alert)} is spent, and work stops",
        f"First refused: {plain(str(alert['key']))}, which asked for {amount(alert['asked'], unit)}. Others that "
        f"meet the same end of it are not told of again.\n{_standing(alert)}",
    )


def _waits(alert: Json) -> tuple[str, str]:
    unit = unit_of(str(alert["budget"]))
    return (
        f"{named(str(alert['budget']))}: no room in its {_what(alert)} {plain(str(alert['until']))}",
        f"First to meet that: {plain(str(alert['key']))}, which asked for {amount(alert['asked'], unit)}. An item waits "
        "for it without a process, a heartbeat ends. Others that meet it are not told of again; `loops inbox` has those "
        f"that wait.\n{_standing(alert)}",
    )


def _spike(alert: Json) -> tuple[str, str]:
    return (
        f"{plain(str(alert['loop']))}: run {plain(str(alert['run']))} costs far more than its runs did",
        f"It came to {amount(alert['cost'], 'usd')}; the middle of the {alert['past']:,} runs before it is "
        f"{amount(alert['middle'], 'usd')}, the dearest {amount(alert['dearest'], 'usd')} (computed).\n"
        f"Noticed {moment(alert['at'])}. Look: `loops top`, `loops trace {plain(str(alert['run']))}`",
    )


def _overshoot(alert: Json) -> tuple[str, str]:
    unit, key = unit_of(str(alert["budget"])), str(alert["key"])
    over = amount(alert["paid"] - alert["held"], unit)
    return (
        f"{named(str(alert['budget']))} is stopped: a call took {over} more than it could",
        f"Call {plain(key)} took {amount(alert['paid'], unit)}; {amount(alert['held'], unit)} was the most that was "
        f"reserved for it.\nNothing more is drawn on budget {plain(str(alert['budget']))} in window "
        f"{plain(str(alert['window']))}: our bound is wrong, or the bill is.\n"
        f"Look: `loops trace {plain(key.partition('-')[0])}`",
    )


def _fan_out(alert: Json) -> tuple[str, str]:
    run = plain(str(alert["run"]))
    return (
        f"{plain(str(alert['loop']))}: a fan-out of {alert['items']:,} is kept back until you let it go",
        f"{plain(str(alert['told']))} ({moment(alert['at'])}).\nNothing was asked for it. {ways_out(run)}",
    )


def _what(alert: Json) -> str:
    unit = unit_of(str(alert["budget"]))
    return {"usd": "money"}.get(unit, unit)


def _standing(alert: Json) -> str:
    unit = unit_of(str(alert["budget"]))
    parts = ((alert["spent"], "settled"), (alert["unknown"], "unknown"), (alert["held"], "held"))
    told = ", ".join(f"{amount(value, unit)} {what}" for value, what in parts)
    return (
        f"Cap {amount(alert['cap'], unit)} in window {plain(str(alert['window']))}: {told} ({moment(alert['at'])}).\n"
        f"Budget {plain(str(alert['budget']))}. Look: `loops top`"
    )
