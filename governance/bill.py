"""What did a provider bill, by model and UTC day, and in which words?"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from governance.conversation import Usage
from governance.parts import PICO, Json
from governance.prices import Book, Price, undated

_MTOK = 10**6
_FAR = 10**8
"""Input tokens beyond every tier."""

Stretch = tuple[date, date]
"""First and last UTC day; most are one day long. Days that a call reaches over are compared as one."""


@dataclass(frozen=True)
class Meters:
    """Tokens as a provider bills them: side by side, none counted twice."""

    input: int = 0
    """Neither read from a cache nor written to one."""
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0

    @classmethod
    def of(cls, usage: Usage) -> "Meters":
        """From our own counts, where cached tokens are part of the input."""
        cached = usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
        return cls(
            usage.input_tokens - cached, usage.cache_read_tokens, usage.cache_write_5m_tokens,
            usage.cache_write_1h_tokens, usage.output_tokens,
        )  # fmt: skip

    @property
    def usage(self) -> Usage:
        """As the ledger counts them."""
        cached = self.cache_read + self.cache_write_5m + self.cache_write_1h
        return Usage(
            self.input + cached, self.output, self.cache_read, self.cache_write_5m,
            self.cache_write_1h,
        )  # fmt: skip

    @property
    def each(self) -> tuple[int, ...]:
        """In the order of the fields."""
        return tuple(getattr(self, meter.name) for meter in fields(self))

    @property
    def as_json(self) -> Json:
        """By name."""
        return dict(vars(self))

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.each)

    def __add__(self, more: "Meters") -> "Meters":
        return Meters(*(a + b for a, b in zip(self.each, more.each, strict=True)))

    def __sub__(self, less: "Meters") -> "Meters":
        return Meters(*(a - b for a, b in zip(self.each, less.each, strict=True)))


@dataclass(frozen=True)
class Billed:
    """What a report says of one model and some days; None is what it does not say."""

    tokens: Meters | None = None
    usd: int | None = None
    """pico-USD."""
    slack: int = 0
    """By how many pico-USD the amount may be off, because the report rounds it."""

    def __add__(self, more: "Billed") -> "Billed":
        tokens = self.tokens
        if more.tokens is not None:
            tokens = more.tokens if tokens is None else tokens + more.tokens
        return Billed(tokens, _both(self.usd, more.usd), self.slack + more.slack)


@dataclass(frozen=True)
class Report:
    """A provider's usage report. A model that is not named on a covered day was not billed on it."""

    source: str
    """Where it is from, in words for people."""
    taken_at: int
    """Unix milliseconds: what it says is what was known then."""
    billed: Mapping[tuple[str, date], Billed]
    """By model, as `model_named` spells it, and UTC day."""
    tokens: Stretch | None = None
    """The days whose tokens it tells."""
    usd: Stretch | None = None
    """The days whose amounts it tells."""

    def of(self, model: str, days: Stretch) -> Billed | None:
        """What was billed on all of these days; None when it does not cover them."""
        says = [covers is not None and covers[0] <= days[0] and days[1] <= covers[1]
                for covers in (self.tokens, self.usd)]  # fmt: skip
        if not any(says):
            return None
        nothing = Billed(Meters(), 0)
        whole = sum((self.billed.get((model, day), nothing) for day in days_of(days)), nothing)
        return Billed(
            whole.tokens if says[0] else None, whole.usd if says[1] else None, whole.slack
        )


@dataclass(frozen=True)
class Units:
    """pico-USD for one token of each meter."""

    each: tuple[Decimal, ...]
    price_book: str

    @property
    def as_json(self) -> Json:
        """As a ledger row has them: USD per million tokens, and where they are from."""
        mtok = (f"{unit * _MTOK / PICO:f}" for unit in self.each)
        named = zip((meter.name for meter in fields(Meters)), mtok, strict=True)
        return {**dict(named), "price_book": self.price_book}

    def cost(self, meters: Meters) -> int:
        """Exact, rounded up to a whole pico-USD."""
        exact = sum((n * unit for n, unit in zip(meters.each, self.each, strict=True)), Decimal(0))
        whole = int(exact)
        return whole if whole == exact else whole + 1


PriceOf = Callable[[str, int], Units | None]
"""The flat unit prices of a model at a moment; None when it has none, or when they depend on the call."""


def units_of(book: Book) -> PriceOf:
    """What we pay for a token by that book, where every call of the model has the same prices at that moment."""

    def flat(model: str, at_ms: int) -> Units | None:
        low, high = book.price_of(model, at_ms, 0), book.price_of(model, at_ms, _FAR)
        return Units(_each(low), low.price_book) if low is not None and low == high else None

    return flat


def _each(price: Price) -> tuple[Decimal, ...]:
    mtok = (price.input, price.cache_read, price.cache_write_5m, price.cache_write_1h, price.output)
    return tuple(unit * PICO / _MTOK for unit in mtok)


def model_named(name: str) -> str:
    """The one spelling of a model: `Claude Haiku 4.5` and `claude-haiku-4-5-20251001` are `claude-haiku-4-5`."""
    plain = undated(name.strip().lower())
    parts = re.sub(r"[\s._]+", "-", plain).split("-")
    words = [part for part in parts if part and not part.isdigit()]
    return "-".join((*words, *(part for part in parts if part.isdigit())))


def day_of(ms: int) -> date:
    """The UTC day of a moment."""
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def start_of(day: date) -> int:
    """The first millisecond of a UTC day."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def days_of(days: Stretch) -> Iterable[date]:
    """Every day of a stretch."""
    return (days[0] + timedelta(n) for n in range((days[1] - days[0]).days + 1))


def last_final(taken_at: int, delay_ms: int) -> date:
    """The newest day whose bill was final in a report taken at this moment."""
    return day_of(taken_at - delay_ms) - timedelta(days=1)


def _both(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
