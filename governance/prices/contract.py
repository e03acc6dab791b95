"""What may prices.yaml say?

What the organisation pays where that is not the public list price, and rates that no price list has: of a sandbox
and of a person. Every entry has days, UTC; a day that none covers has the list price, or none.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from governance.fields import OneLine
from governance.parts import Part, canonical

ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", max_length=120)]
"""A model as its provider names it."""
Paid = Annotated[Decimal, Field(gt=0, le=1_000_000, max_digits=20, decimal_places=12)]
"""An amount of USD above 0."""
Cached = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=20, decimal_places=12)]
"""An amount of USD that may be a 0 somebody wrote."""
Share = Annotated[Decimal, Field(gt=0, lt=1, max_digits=10)]

_UNITS = ("input_usd", "output_usd", "cache_read_usd", "cache_write_5m_usd", "cache_write_1h_usd")


class Dated(Part):
    """An entry and the days it holds."""

    starts: date
    """The first day it holds, from midnight UTC."""
    ends: date | None = None
    """The first day it holds no more; for good without one."""
    reason: OneLine = ""
    """Where it is agreed, for whoever reads the ledger."""

    @property
    def subject(self) -> str:
        """What it is about; of one subject only one entry may hold on a day."""
        return ""

    def holds(self, day: date) -> bool:
        """Whether it holds on that day."""
        return self.starts <= day and (self.ends is None or day < self.ends)

    @model_validator(mode="after")
    def _some_day(self) -> "Dated":
        if self.ends is not None and self.ends <= self.starts:
            raise ValueError(
                f"ends on {self.ends} and starts on {self.starts}: it never holds. 'ends' is the first day it holds "
                "no more"
            )
        return self


class ModelTerms(Dated):
    """What calls of one model cost: the list price less a discount, prices of its own, or nothing."""

    model: ModelId
    """The provider's own id, as calls send it."""
    discount: Share | None = None
    """The share that comes off every list price: 0.15 is 15 %."""
    input_usd: Paid | None = None
    """USD per million input tokens that are neither read from the cache nor written to it."""
    output_usd: Paid | None = None
    """USD per million output tokens, thinking included."""
    cache_read_usd: Cached | None = None
    """USD per million tokens read from the cache."""
    cache_write_5m_usd: Cached | None = None
    """USD per million tokens kept for five minutes."""
    cache_write_1h_usd: Cached | None = None
    """USD per million tokens kept for an hour."""
    free: bool = False
    """Calls cost nothing."""

    @property
    def subject(self) -> str:
        """The model."""
        return self.model

    @property
    def units(self) -> tuple[Decimal, ...] | None:
        """Its own prices: input, output, cache read, cache write 5 m and 1 h; None where it has none of its own."""
        if self.free:
            return (Decimal(0),) * len(_UNITS)
        found: list[Decimal | None] = [getattr(self, name) for name in _UNITS]
        return tuple(u for u in found if u is not None) or None

    @model_validator(mode="after")
    def _one_way(self) -> "ModelTerms":
        given = [name for name in _UNITS if getattr(self, name) is not None]
        ways = [
            way
            for way, said in (("discount", self.discount), ("prices", given), ("free", self.free))
            if said
        ]
        if len(ways) != 1:
            found = " and ".join(ways) or "none of them"
            raise ValueError(
                f"says {found}: give a discount, or all of {', '.join(_UNITS)}, or free: true"
            )
        lacking = [name for name in _UNITS if name not in given]
        if given and lacking:
            raise ValueError(
                f"says nothing about {', '.join(lacking)}: no price is taken from elsewhere; name all five"
            )
        return self


class SandboxRate(Dated):
    """What a box costs while a command of it runs."""

    vcpu_second_usd: Cached
    """USD for each second of each processor it may use."""
    gib_second_usd: Cached
    """USD for each second of each GiB of memory it may use."""


class PeopleRate(Dated):
    """What it costs that a person answers a card."""

    hour_usd: Paid
    """USD for an hour of a person."""
    card_seconds: Annotated[int, Field(gt=0, le=86_400)]
    """How long one card takes a person. Nobody measures it: while a card waits, nobody works on it."""


D = TypeVar("D", bound=Dated)


class Contract(Part):
    """All that differs from the price list, and what has no list."""

    models: tuple[ModelTerms, ...] = ()
    """In any order; of one model one entry a day."""
    sandbox: tuple[SandboxRate, ...] = ()
    """One entry a day."""
    people: tuple[PeopleRate, ...] = ()
    """One entry a day."""

    def terms(self, model_id: str, at_ms: int) -> ModelTerms | None:
        """What holds for calls of this model at that moment."""
        return holding((m for m in self.models if m.model == model_id), at_ms)

    def prices(self, model_id: str) -> bool:
        """Whether it gives this model a price of its own on any day."""
        return any(m.model == model_id and m.units is not None for m in self.models)

    def spelled(self) -> str:
        """Canonical JSON: the same contract, the same text."""
        return canonical(self.model_dump(mode="json", exclude_defaults=True))


def holding(entries: Iterable[D], at_ms: int) -> D | None:
    """The entry that holds at that moment, Unix milliseconds."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    return next((e for e in entries if e.holds(day)), None)
