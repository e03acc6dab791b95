"""What do so many tokens come to at these unit prices?

Money is whole pico-USD, rounded up to a whole one, and no amount passes through a float.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext

from governance.conversation import Usage
from governance.parts import Json, pico

MTOK = 10**6
_DIGITS = 60


@dataclass(frozen=True)
class Price:
    """Unit prices of one model at one moment, in USD per million tokens."""

    model: str
    """The model as the price book names it."""
    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    price_book: str
    """Where the numbers are from: package and version, and the contract they were changed by."""

    def as_json(self) -> Json:
        """As it is pinned on the ledger row; decimals are strings, so that no digit is lost."""
        return {
            name: f"{value:f}" if isinstance(value, Decimal) else value
            for name, value in vars(self).items()
        }


def due(price: Price, usage: Usage) -> int:
    """Exact cost in pico-USD. Our counts are inclusive: cached tokens are part of the input and priced once.

    Raises:
        ValueError: The counts contradict each other, such as more cached tokens than input.
    """
    cached = usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    if cached > usage.input_tokens or min(vars(usage).values()) < 0:
        raise ValueError(
            f"cached tokens ({cached:,}) cannot exceed input tokens ({usage.input_tokens:,}), and no count is "
            "below 0. Give inclusive counts."
        )
    meters = (
        (usage.input_tokens - cached, price.input),
        (usage.output_tokens, price.output),
        (usage.cache_read_tokens, price.cache_read),
        (usage.cache_write_5m_tokens, price.cache_write_5m),
        (usage.cache_write_1h_tokens, price.cache_write_1h),
    )
    with localcontext() as exact:
        exact.prec = _DIGITS
        return pico(sum((n * unit for n, unit in meters), Decimal(0)) / MTOK)


def most(prices: Iterable[Price], input_tokens: int, output_tokens: int) -> int:
    """No call within these counts costs more pico-USD at any of these prices.

    All input is taken at its dearest use (plain, cache read, cache write).
    """
    prices = tuple(prices)
    dearest_input = max(
        max(p.input, p.cache_read, p.cache_write_5m, p.cache_write_1h) for p in prices
    )
    dearest_output = max(p.output for p in prices)
    with localcontext() as exact:
        exact.prec = _DIGITS
        return pico((input_tokens * dearest_input + output_tokens * dearest_output) / MTOK)


def off(price: Price, share: Decimal) -> Price:
    """The price with so much off each of its units."""
    with localcontext() as exact:
        exact.prec = _DIGITS
        rest = 1 - share
        return Price(
            price.model, price.input * rest, price.output * rest, price.cache_read * rest,
            price.cache_write_5m * rest, price.cache_write_1h * rest, price.price_book,
        )  # fmt: skip
