"""Who may spend how much, in which stretch of time, and for how much at once?

What registry/budgets.yaml says. Every rule that matches a call must have room for it, and each is charged; which
budgets a call draws on is said by `draws`. What a fan-out is judged by is said by `fanout`.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from governance.fields import Name, OneLine, Timezone, Usd
from governance.parts import Part, pico
from governance.problems import shown

Unit = Literal["usd", "tokens", "calls", "runs", "concurrent"]
UNITS: tuple[Unit, ...] = ("usd", "tokens", "calls", "runs", "concurrent")
Whose = Literal["team", "user", "loop", "agent", "model"]
WhenFull = Literal["wait", "stop"]

_SPANS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST = timedelta(days=31)


def _per(text: str) -> str:
    if text in ("run", "day", "month"):
        return text
    span = _span(text)
    if span is None or not timedelta(seconds=10) <= span <= _LONGEST:
        raise ValueError(
            f"{shown(text)} is not a stretch of time: write run, day, month, or how long it rolls, from "
            "'10s' to '31d'"
        )
    return text


def _span(text: str) -> timedelta | None:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    return timedelta(seconds=int(found[1]) * _SPANS[found[2]]) if found else None


Selector = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*?@+-]+$", max_length=120)]
"""A name; `*` stands for any run of characters, `?` for one."""

Count = Annotated[int, Field(gt=0, le=10**15)]
Per = Annotated[str, Field(max_length=10), AfterValidator(_per)]


Share = Annotated[Decimal, Field(gt=0, le=1, decimal_places=2)]
"""A share in whole percent, as 0.8."""


class BudgetRule(Part):
    """One limit: on whom, on what, in which stretch of time. Exactly one unit is given."""

    name: Name
    """What it is called wherever it is shown."""
    usd: Usd | None = None
    """What models, tools and sandboxes may cost."""
    tokens: Count | None = None
    """Input and output tokens of models."""
    calls: Count | None = None
    """Calls of models and of connectors' tools."""
    runs: Count | None = None
    """Heartbeats that may begin."""
    concurrent: Count | None = None
    """Calls of models and of connectors' tools at one moment."""
    per: Per | None = None
    """`run`, a calendar `day` or `month`, or how long it rolls (`90s`, `15m`, `24h`, `7d`)."""
    timezone: Timezone = "UTC"
    """Whose midnight begins a `day` or a `month`."""
    team: Selector = "*"
    """Whose loops."""
    user: Selector = "*"
    """The owner of the loop."""
    loop: Selector = "*"
    """Which loops."""
    agent: Selector = "*"
    """Which of a loop's agents: `lead`, a sub-agent's name, `verifier`, or `loop` for what it does itself."""
    model: Selector = "*"
    """Calls of which models; the names of org.yaml."""
    tool: Selector = "*"
    """Calls of which tools, as `connector.tool`."""
    each: tuple[Whose, ...] = ()
    """A budget of its own for each of these, instead of one for all together."""
    margin: Annotated[Decimal, Field(ge=0, lt=1, max_digits=5)] = Decimal(0)
    """By what share the provider's bill may be above our figures; so much of the limit is never spent."""
    share: tuple[Share, ...] = (Decimal("0.5"), Decimal("0.8"), Decimal(1))
    """At which shares of what may be drawn people are told; a window that rolls for less than a day tells nobody."""
    when_full: WhenFull | None = None
    """What becomes of an item that meets its end: it waits for the next window, or stops until somebody raises this one.

    What rolls is waited for, a day or a month is not, unless this says otherwise.
    """
    reason: OneLine = ""
    """Why, for whoever meets it."""

    @property
    def waits(self) -> bool:
        """Whether an item waits for its next window; what calls under way hold is waited for in any case."""
        return self.when_full == "wait" if self.when_full else self.rolls is not None

    @property
    def unit(self) -> Unit:
        """What it counts."""
        return next(u for u in UNITS if getattr(self, u) is not None)

    @property
    def limit(self) -> int:
        """What is declared, in whole units; USD in pico-USD."""
        value = getattr(self, self.unit)
        return pico(value) if isinstance(value, Decimal) else value

    @property
    def cap(self) -> int:
        """What may really be drawn: the limit without the margin."""
        return int(self.limit / (1 + self.margin))

    @property
    def rolls(self) -> timedelta | None:
        """How long it rolls; None for a run, a day, a month and calls at one moment."""
        return _span(self.per) if self.per else None

    @property
    def shares(self) -> tuple[int, ...]:
        """Percent of the cap that people are told of; none for calls at one moment, and for what rolls quickly."""
        return () if self.passing else tuple(int(s * 100) for s in self.share)

    @property
    def passing(self) -> bool:
        """Whether its end is a matter of moments: calls at one moment, and what rolls for less than a day."""
        quick = self.rolls is not None and self.rolls < timedelta(days=1)
        return quick or self.unit == "concurrent"

    @property
    def scope(self) -> tuple[object, ...]:
        """On whom, on what and when: two rules of one scope say two things about the same."""
        whom = (self.team, self.user, self.loop, self.agent, self.model, self.tool)
        return (*whom, tuple(sorted(set(self.each))), self.unit, self.per, self.timezone)

    @model_validator(mode="after")
    def _one_limit(self) -> "BudgetRule":
        given = [u for u in UNITS if getattr(self, u) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"limits {found}: give exactly one of {', '.join(UNITS)}")
        if (self.unit == "concurrent") != (self.per is None):
            raise ValueError(
                "concurrent counts calls at one moment: leave 'per' out"
                if self.unit == "concurrent"
                else f"says no stretch of time: add per: run, day, month or a duration to {self.unit}"
            )
        return self

    @model_validator(mode="after")
    def _told_of_where_it_is_used_up(self) -> "BudgetRule":
        if "share" in self.model_fields_set and self.share and not self.shares:
            raise ValueError(
                "a share is told of where something is used up: calls at one moment and what rolls for less than "
                "a day go on by themselves, so leave 'share' out"
            )
        return self

    @model_validator(mode="after")
    def _waits_for_a_window(self) -> "BudgetRule":
        why = None
        if self.unit == "concurrent":
            why = "calls at one moment end by themselves, and an item waits for that"
        elif self.unit == "runs":
            why = "a heartbeat that may not begin waits for nobody, the next slot asks again"
        elif self.per == "run" and self.when_full == "wait":
            why = "no other window follows a run, so there is nothing to wait for"
        if self.when_full and why:
            raise ValueError(f"{why}: leave 'when_full' out")
        return self

    @model_validator(mode="after")
    def _no_contradiction(self) -> "BudgetRule":
        if "timezone" in self.model_fields_set and self.per not in ("day", "month"):
            raise ValueError("a timezone says when a day or a month begins; this rule has neither")
        if self.margin and self.unit != "usd":
            raise ValueError("a margin is about the provider's bill; this rule does not count usd")
        if self.model != "*" and self.tool != "*":
            raise ValueError("no call is one of a model and of a tool: leave 'model' or 'tool' out")
        if self.unit == "tokens" and self.tool != "*":
            raise ValueError("tools use no tokens: count calls or usd, or leave 'tool' out")
        if self.unit == "runs":
            narrow = {self.agent, self.model, self.tool} != {"*"}
            if narrow or self.per == "run" or {"agent", "model"} & set(self.each):
                raise ValueError(
                    "a run belongs to a loop: count runs by team, user or loop, per day, month or duration"
                )
        if len(set(self.each)) != len(self.each):
            raise ValueError("names something twice under 'each'")
        return self


class FanOutRule(Part):
    """What the items that one heartbeat hands out at once may be expected to cost, or how many they may be."""

    name: Name
    """What it is called wherever it is shown."""
    usd: Usd | None = None
    """What all of them together are expected to cost, at most."""
    items: Count | None = None
    """How many they are, at most."""
    team: Selector = "*"
    """Whose loops."""
    user: Selector = "*"
    """The owner of the loop."""
    loop: Selector = "*"
    """Which loops."""
    reason: OneLine = ""
    """Why, for whoever meets it."""

    @property
    def unit(self) -> Literal["usd", "items"]:
        """What it counts."""
        return "items" if self.usd is None else "usd"

    @property
    def limit(self) -> int:
        """What is declared: items, or USD in pico-USD."""
        if self.usd is not None:
            return pico(self.usd)
        assert self.items is not None
        return self.items

    @property
    def scope(self) -> tuple[object, ...]:
        """On whom, and on what: two rules of one scope say two things about the same."""
        return (self.team, self.user, self.loop, self.unit)

    @model_validator(mode="after")
    def _one_limit(self) -> "FanOutRule":
        if (self.usd is None) == (self.items is None):
            found = "none" if self.usd is None else "usd and items"
            raise ValueError(f"limits {found}: give exactly one of usd, items")
        return self


class Budgets(Part):
    """All rules about spending."""

    budgets: tuple[BudgetRule, ...] = ()
    """In any order: all that match a call must have room."""
    fan_outs: tuple[FanOutRule, ...] = ()
    """In any order: what a heartbeat hands out must stay within all that match its loop."""
