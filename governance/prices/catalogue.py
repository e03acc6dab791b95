"""What does a model cost at list price?

Unit prices come from `genai-prices`, whose data is in the package: nothing is fetched. A model without a price has
no cost, which is not a cost of zero.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from governance.conversation import Usage
from governance.prices.unit import Price, due, most

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation

_DATED = re.compile(r"(-latest|[-@]20\d{6}|-20\d{2}-\d{2}-\d{2})$")


def price_of(model_id: str, at_ms: int, input_tokens: int = 0) -> Price | None:
    """List prices in force at `at_ms` for a call with that many input tokens; None when the model has none.

    The input decides the tier: past a threshold every token of the call, the output too, is dearer.
    """
    known = _known(model_id, at_ms)
    return None if known is None else _price(known, input_tokens)


def cost(usage: Usage, model_id: str, at_ms: int) -> int | None:
    """Exact list cost in pico-USD; None when the model has no price. Raises `ValueError` as `due` does."""
    price = price_of(model_id, at_ms, usage.input_tokens)
    return None if price is None else due(price, usage)


def worst_case(
    input_tokens_bound: int, max_output_tokens: int, model_id: str, at_ms: int
) -> int | None:
    """No call within these counts costs more pico-USD at list price than this; None when the model has no price."""
    reached = prices_within(input_tokens_bound, model_id, at_ms)
    return most(reached, input_tokens_bound, max_output_tokens) if reached else None


def prices_within(input_tokens_bound: int, model_id: str, at_ms: int) -> tuple[Price, ...]:
    """The list prices of every tier that so much input can reach; none when the model has no price."""
    known = _known(model_id, at_ms)
    if known is None:
        return ()
    starts = (0, *_tier_inputs(known))
    return tuple(_price(known, n) for n in starts if n <= input_tokens_bound)


def _calculate(model_id: str, at_ms: int) -> "PriceCalculation":
    # genai-prices takes 0.4 s to import: only who prices a call pays for it.
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return calc_price(
        Counts(input_tokens=0), model_id, provider_id="anthropic", genai_request_timestamp=at
    )


def undated(model_id: str) -> str:
    """The id of a model without the date of its version."""
    return _DATED.sub("", model_id)


def _known(model_id: str, at_ms: int) -> "PriceCalculation | None":
    # The price book matches many ids by prefix: 'claude-opus-4-10' would get the price of 'claude-opus-4-1'. An id
    # counts as known only if, without its date, no character can be taken off its end.
    name = undated(model_id)
    try:
        found = _calculate(name, at_ms)
    except LookupError:
        return None
    return None if _matches(name[:-1]) else found


@lru_cache(maxsize=512)
def _matches(name: str) -> bool:
    try:
        _calculate(name, 0)
    except LookupError:
        return False
    return True


def _unit(prices: "ModelPrice", input_tokens: int, *keys: str) -> Decimal:
    """The first of these prices that the model has, at the tier of that much input."""
    value = next(v for key in keys if (v := getattr(prices, key)) is not None)
    if isinstance(value, Decimal):
        return value
    reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return reached[-1] if reached else value.base


def _price(known: "PriceCalculation", input_tokens: int) -> Price:
    from genai_prices import __version__

    prices = known.model_price

    def unit(*keys: str) -> Decimal:
        return _unit(prices, input_tokens, *keys)

    # Where a book has no price of its own for a use, the more general one is charged.
    writes = ("cache_write_mtok", "input_mtok")
    return Price(
        model=known.model.id,
        input=unit("input_mtok"),
        output=unit("output_mtok"),
        cache_read=unit("cache_read_mtok", "input_mtok"),
        cache_write_5m=unit("cache_write_5m_mtok", *writes),
        cache_write_1h=unit("cache_write_1h_mtok", *writes),
        price_book=f"genai-prices=={__version__}",
    )


def _tier_inputs(known: "PriceCalculation") -> list[int]:
    """The smallest input of each dearer tier, over all prices of the model."""
    tiered = [value for value in vars(known.model_price).values() if hasattr(value, "tiers")]
    return sorted({tier.start + 1 for value in tiered for tier in value.tiers})
