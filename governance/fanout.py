"""What will the items that a heartbeat hands out cost, is that allowed, and how is it told?

Money is whole pico-USD. The price rests on what items of the loop really cost; where too few have ended, on the most
that their limits let them cost. What nobody can say is None, and above every limit in USD.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from governance.budgets import FanOutRule
from governance.parts import usd

PAST = 50
"""Items of the loop that a price rests on, the last that ended."""
LEAST_PAST = 5
"""With fewer there is no past to expect anything from."""

Answer = Literal["allow", "discard"]
"""What a person may say of a fan-out that is kept back."""


@dataclass(frozen=True)
class Ceiling:
    """The most that a limit of the loop lets its items cost."""

    limit: str
    """The field that says so, as `harness.max_cost_usd_per_run`."""
    usd: int
    each: bool = False
    """Of each item, instead of all together."""

    def of(self, items: int) -> int:
        """The most that so many items may cost."""
        return self.usd * items if self.each else self.usd


@dataclass(frozen=True)
class Price:
    """What so many items are expected to cost, and on what that rests."""

    items: int
    usd: int | None
    """All together; None when nobody can say."""
    each: int | None
    """One of them; None where only all together have a limit, or nobody can say."""
    past: int
    """Ended items of the loop whose cost is known; the price rests on them from `LEAST_PAST` on."""
    ceiling: str | None = None
    """The limit that it rests on instead; None where it rests on the past, or on nothing."""


@dataclass(frozen=True)
class Excess:
    """A rule that does not let a fan-out go."""

    rule: str
    unit: Literal["usd", "items"]
    limit: int


@dataclass(frozen=True)
class FanOut:
    """One fan-out on record: what a heartbeat found that was new, its price, and what became of it."""

    run: str
    loop: str
    price: Price
    told: str
    """The price, and what it was weighed against, as a sentence of its moment."""
    refused_by: tuple[Excess, ...]
    at: int
    answer: Answer | None = None
    by: str | None = None
    why: str | None = None
    answered_at: int | None = None

    @property
    def kept_back(self) -> bool:
        """Whether it waits for a person."""
        return bool(self.refused_by) and self.answer is None

    @property
    def standing(self) -> Literal["allowed", "kept back", "let go", "discarded"]:
        """What has become of it."""
        if not self.refused_by:
            return "allowed"
        if self.answer is None:
            return "kept back"
        return "let go" if self.answer == "allow" else "discarded"


@dataclass(frozen=True)
class Answering:
    """What a person wants of a fan-out that is kept back."""

    run: str
    answer: Answer
    by: str
    why: str


@dataclass(frozen=True)
class NotAnswered:
    """Nothing was changed, and why."""

    why: str


@dataclass(frozen=True)
class FanOutRuleInForce:
    """A rule about fan-outs, since when it holds, and who said so."""

    rule: FanOutRule
    since: int
    by: str


def priced(items: int, past: Sequence[int], ceilings: Iterable[Ceiling]) -> Price:
    """What so many new items will cost: each the mean of `past`, or all the least of the ceilings.

    The mean, rounded up, and not the middle one: the sum of many items is that many means, and a loop in which one item
    in ten costs fifty times the others has a middle that knows nothing of it.
    """
    if len(past) >= LEAST_PAST:
        each = -(-sum(past) // len(past))
        return Price(items, each * items, each, len(past))
    least = min(ceilings, key=lambda c: c.of(items), default=None)
    if least is None:
        return Price(items, None, None, len(past))
    return Price(items, least.of(items), least.usd if least.each else None, len(past), least.limit)


def matching(
    rules: Iterable[FanOutRule], *, loop: str, owner: str, team: str
) -> tuple[FanOutRule, ...]:
    """The rules that a loop's fan-outs must stay within."""
    return tuple(rule for rule in rules if covers(rule, loop=loop, owner=owner, team=team))


def covers(rule: FanOutRule, *, loop: str, owner: str, team: str) -> bool:
    """Is the rule about this loop?"""
    pairs = ((team, rule.team), (owner, rule.user), (loop, rule.loop))
    return all(fnmatchcase(name, wanted) for name, wanted in pairs)


def above(rules: Iterable[FanOutRule], price: Price) -> tuple[Excess, ...]:
    """Every one of these rules that does not let it go, by name."""
    found = [
        Excess(rule.name, rule.unit, rule.limit)
        for rule in rules
        if (amount := price.usd if rule.unit == "usd" else price.items) is None
        or amount > rule.limit
    ]
    return tuple(sorted(found, key=lambda e: e.rule))


def sentence(price: Price, rules: Sequence[FanOutRule], excess: Sequence[Excess]) -> str:
    """The price and what it was weighed against, in words."""
    if excess:
        over = " and ".join(f"the {limit(e.unit, e.limit)} of rule {e.rule!r}" for e in excess)
        return f"{price_in_words(price)}, above {over}"
    if not rules:
        return f"{price_in_words(price)}; no rule limits it"
    least = {r.unit: r for r in sorted(rules, key=lambda r: -r.limit)}
    within = " and ".join(f"{limit(r.unit, r.limit)} (rule {r.name!r})" for r in least.values())
    return f"{price_in_words(price)}, of {within} allowed"


def price_in_words(price: Price) -> str:
    """As `12 items × 0.4200 USD expected (mean of the last 50 items) = 5.0400 USD`."""
    many = f"{price.items:,} item{'' if price.items == 1 else 's'}"
    if price.usd is None:
        return f"{many} of a cost that nobody can say ({_few(price)}, and no limit has a price)"
    if price.ceiling is None:
        assert price.each is not None
        rests = f"mean of the last {price.past:,} items"
        return f"{many} × {money(price.each)} expected ({rests}) = {money(price.usd)}"
    rests = f"{price.ceiling}; {_few(price)}"
    if price.each is None:
        return f"{many} for at most {money(price.usd)} ({rests})"
    return f"{many} × at most {money(price.each)} ({rests}) = {money(price.usd)}"


def ways_out(run: str) -> str:
    """What a person can do about one that is kept back."""
    return (
        f"Let it go with `loops fanout allow {run}`, or drop it with `loops fanout discard {run}`. For later ones change "
        "the rule in registry/budgets.yaml and `loops apply`."
    )


def kept_back(told: str, run: str) -> str:
    """Why nothing is asked for its items, and the way out."""
    return f"The fan-out is kept back: {told}. Nothing was asked for it. {ways_out(run)}"


def money(amount: int) -> str:
    """pico-USD as people read it."""
    return f"{usd(amount):,.4f} USD"


def _few(price: Price) -> str:
    ended = "no item" if not price.past else f"{price.past:,} item{'' if price.past == 1 else 's'}"
    return f"{ended} of its past, {LEAST_PAST} are needed"


def limit(unit: str, value: int) -> str:
    """What a rule allows, as people read it."""
    return f"{usd(value).normalize():,f} USD" if unit == "usd" else f"{value:,} items"
