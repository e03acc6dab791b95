"""What does a model call cost, and what can it cost at most?

Unit prices come from `genai-prices`, whose data is in the package: nothing is fetched. Money is whole
pico-USD. A model without a price has no cost, which is not a cost of zero.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from governance.conversation import ModelRequest, Usage
from governance.parts import Json, canonical, pico

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, PriceCalculation

_MTOK = 10**6
_DIGITS = 60
_DATED = re.compile(r"(-latest|[-@]20\d{6}|-20\d{2}-\d{2}-\d{2})$")

MESSAGE_TOKENS = 16
"""Role and delimiters of one message."""
BLOCK_TOKENS = 16
"""Delimiters of one content block or tool."""
TOOLS_TOKENS = 1024
"""The provider's own system prompt for tool use; the largest one published is 804 tokens."""
SCHEMA_TOKENS = 1024
"""The provider's own system prompt for an answer by schema, without the schema."""
_UNBOUNDED = frozenset({"image", "document", "file", "container_upload"})


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
    """Where the numbers are from: package and version."""

    def as_json(self) -> Json:
        """As it is pinned on the ledger row; decimals are strings, so that no digit is lost."""
        return {name: str(value) for name, value in vars(self).items()}


def price_of(model_id: str, at_ms: int, input_tokens: int = 0) -> Price | None:
    """Prices in force at `at_ms` for a call with that many input tokens; None when the model has none.

    The input decides the tier: past a threshold every token of the call, the output too, is dearer.
    """
    known = _known(model_id, at_ms)
    return None if known is None else _price(known, input_tokens)


def cost(usage: Usage, model_id: str, at_ms: int) -> int | None:
    """Exact cost in pico-USD, rounded up to a whole one; None when the model has no price.

    Raises:
        ValueError: The counts contradict each other, such as more cached tokens than input.
    """
    if _known(model_id, at_ms) is None:
        return None
    counts = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        "cache_write_5m_tokens": usage.cache_write_5m_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
    }
    with localcontext() as exact:
        exact.prec = _DIGITS
        return pico(_calculate(model_id, at_ms, counts).total_price)


def worst_case(
    input_tokens_bound: int, max_output_tokens: int, model_id: str, at_ms: int
) -> int | None:
    """No call within these counts costs more pico-USD than this; None when the model has no price.

    All input is taken at its dearest use (plain, cache read, cache write) and everything at the dearest tier
    the bound reaches.
    """
    known = _known(model_id, at_ms)
    if known is None:
        return None
    within = [_price(known, n) for n in (0, *_tier_inputs(known)) if n <= input_tokens_bound]
    dearest_input = max(
        max(p.input, p.cache_read, p.cache_write_5m, p.cache_write_1h) for p in within
    )
    dearest_output = max(p.output for p in within)
    with localcontext() as exact:
        exact.prec = _DIGITS
        total = input_tokens_bound * dearest_input + max_output_tokens * dearest_output
        return pico(total / _MTOK)


def input_bound(request: ModelRequest) -> int:
    """Input tokens the request cannot exceed.

    A tokenizer works on the UTF-8 bytes of the text, as written or after Unicode normalisation (NFKC, which may
    lengthen it), and every token covers at least one byte: so text never has more tokens than its longer spelling
    has bytes. The wire form of tools, schema and messages only adds bytes to what the model reads (quotes, escapes,
    field names, encrypted thinking). What the provider adds by itself is the overhead named above, per message,
    block and tool, and once for tools and for a schema.

    Raises:
        ValueError: The request carries an image, a document or a file, whose tokens its bytes do not bound.
    """
    return frame_bound(request) + sum(map(message_bound, request.messages))


def message_bound(message: Json) -> int:
    """The part of `input_bound` that one message has. Raises `ValueError` as it does."""
    blocks = list(_blocks(message.get("content")))
    odd = sorted({str(block["type"]) for block in blocks if block.get("type") in _UNBOUNDED})
    if odd:
        raise ValueError(
            f"a message carries {', '.join(map(repr, odd))}: its tokens cannot be bounded by its bytes. "
            "Send text only."
        )
    return _bytes(canonical(message)) + MESSAGE_TOKENS + BLOCK_TOKENS * len(blocks)


def frame_bound(request: ModelRequest) -> int:
    """The part of `input_bound` that is not messages: system prompt, tools and schema."""
    bound = _bytes(request.system) + BLOCK_TOKENS
    for tool in request.tools:
        wire = [tool.name, tool.description, tool.input_schema]
        bound += _bytes(canonical(wire)) + BLOCK_TOKENS
    if request.tools:
        bound += TOOLS_TOKENS
    if request.schema is not None:
        bound += _bytes(canonical(request.schema)) + SCHEMA_TOKENS
    return bound


def _bytes(text: str) -> int:
    if text.isascii():
        return len(text)
    normal = unicodedata.normalize("NFKC", text)
    return max(
        len(text.encode("utf-8", "surrogatepass")), len(normal.encode("utf-8", "surrogatepass"))
    )


def _blocks(content: Any) -> Iterable[Json]:
    """The blocks of a message, those inside tool results too."""
    if not isinstance(content, list):
        return
    for block in cast(list[Json], content):
        yield block
        yield from _blocks(block.get("content"))


def _calculate(model_id: str, at_ms: int, counts: dict[str, int]) -> "PriceCalculation":
    # genai-prices takes 0.4 s to import: only who prices a call pays for it.
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return calc_price(
        Counts(**counts), model_id, provider_id="anthropic", genai_request_timestamp=at
    )


def _known(model_id: str, at_ms: int) -> "PriceCalculation | None":
    # The price book matches many ids by prefix: 'claude-opus-4-10' would get the price of 'claude-opus-4-1'. An id
    # counts as known only if, without its date, no character can be taken off its end.
    name = _DATED.sub("", model_id)
    try:
        found = _calculate(name, at_ms, {"input_tokens": 0})
    except LookupError:
        return None
    return None if _matches(name[:-1]) else found


@lru_cache(maxsize=512)
def _matches(name: str) -> bool:
    try:
        _calculate(name, 0, {"input_tokens": 0})
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
