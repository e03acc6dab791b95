"""Is the price of a call exact, dated, and never above what was reserved for it?"""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from importlib.metadata import version

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.conversation import ModelRequest, ToolSpec, Usage, user
from governance.parts import PICO, canonical
from governance.prices import cost, input_bound, price_of, worst_case

NOW = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp() * 1000)
FEBRUARY = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1000)

# USD per million tokens: input, output, cache read, cache write 5m, cache write 1h.
GOLDEN = {
    "claude-sonnet-4-6": ("3", "15", "0.3", "3.75", "6"),
    "claude-sonnet-5-5": ("2", "10", "0.1", "2.5", "4"),
    "claude-opus-5-5": ("4", "20", "0.2", "5", "8"),
    "claude-opus-4-8": ("5", "25", "0.5", "6.25", "10"),
    "claude-haiku-5-5": ("0.1", "0.5", "0.01", "0.125", "0.2"),
    "claude-haiku-4-5-20251001": ("1", "5", "0.1", "1.25", "2"),
    "claude-opus-4-20250514": ("15", "75", "1.5", "18.75", "30"),
}
MODELS = [*GOLDEN, "claude-2", "claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-fable-5-2"]
tokens = st.integers(0, 400_000)


def units(model: str, at_ms: int = NOW, input_tokens: int = 0) -> tuple[Decimal, ...]:
    price = price_of(model, at_ms, input_tokens)
    assert price is not None
    return (
        price.input,
        price.output,
        price.cache_read,
        price.cache_write_5m,
        price.cache_write_1h,
    )


@pytest.mark.parametrize("model", GOLDEN)
def test_unit_prices_are_those_of_the_published_table(model: str):
    assert units(model) == tuple(map(Decimal, GOLDEN[model]))


def test_the_price_is_the_one_of_the_day_and_of_the_tier():
    assert units("claude-sonnet-4-6", FEBRUARY, 200_000)[:2] == (3, 15)
    assert units("claude-sonnet-4-6", FEBRUARY, 200_001)[:2] == (6, Decimal("22.5"))
    assert units("claude-sonnet-4-6", NOW, 200_001)[:2] == (3, 15)
    assert units("claude-haiku-5-5", NOW, 100_001)[:2] == (Decimal("0.5"), Decimal("2.5"))


def test_a_cost_is_exact_to_the_pico():
    usage = Usage(1_110, 7, cache_read_tokens=1_000, cache_write_5m_tokens=100)
    expected = 10 * 3_000_000 + 1_000 * 300_000 + 100 * 3_750_000 + 7 * 15_000_000
    assert cost(usage, "claude-sonnet-4-6", NOW) == expected
    hour = Usage(1_110, 7, cache_read_tokens=1_000, cache_write_1h_tokens=100)
    assert cost(hour, "claude-sonnet-4-6", NOW) == expected + 100 * (6_000_000 - 3_750_000)


def test_the_ambient_decimal_precision_does_not_change_a_cost():
    usage = Usage(123_456_789, 987_654_321)
    exact = cost(usage, "claude-haiku-5-5", NOW)
    with localcontext() as ctx:
        ctx.prec = 3
        assert cost(usage, "claude-haiku-5-5", NOW) == exact
        assert worst_case(123_456_789, 987_654_321, "claude-haiku-5-5", NOW) is not None


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5", "nonsense", "claude-opus-4-10", "claude-sonnet-4-6-2", "claude-opus-9",
        "claude-sonnet-4-6-mini", "",
    ],
)  # fmt: skip
def test_a_model_the_book_does_not_know_has_no_price_rather_than_a_free_or_a_similar_one(
    model: str,
):
    assert price_of(model, NOW) is None
    assert cost(Usage(1, 1), model, NOW) is None
    assert worst_case(1, 1, model, NOW) is None


def test_contradicting_counts_are_refused_rather_than_priced():
    with pytest.raises(ValueError, match="cannot exceed"):
        cost(Usage(10, 0, cache_read_tokens=11), "claude-sonnet-4-6", NOW)


def test_a_price_is_pinned_without_losing_a_digit():
    price = price_of("claude-haiku-5-5", NOW)
    assert price is not None
    assert price.as_json() == {
        "model": "claude-haiku-5-5",
        "input": "0.1",
        "output": "0.5",
        "cache_read": "0.01",
        "cache_write_5m": "0.125",
        "cache_write_1h": "0.2",
        "price_book": f"genai-prices=={version('genai-prices')}",
    }


@settings(deadline=None)
@given(
    model=st.sampled_from(MODELS),
    at_ms=st.sampled_from([NOW, FEBRUARY]),
    parts=st.tuples(tokens, tokens, tokens, tokens, tokens),
)
def test_a_cost_is_the_sum_of_its_unit_prices(
    model: str, at_ms: int, parts: tuple[int, int, int, int, int]
):
    plain, output, read, write_5m, write_1h = parts
    usage = Usage(plain + read + write_5m + write_1h, output, read, write_5m, write_1h)
    prices = units(model, at_ms, usage.input_tokens)
    expected = sum(
        n * unit for n, unit in zip((plain, output, read, write_5m, write_1h), prices, strict=True)
    )
    assert cost(usage, model, at_ms) == expected * PICO / 10**6


@settings(deadline=None)
@given(
    model=st.sampled_from(MODELS),
    at_ms=st.sampled_from([NOW, FEBRUARY]),
    parts=st.tuples(tokens, tokens, tokens, tokens, tokens),
    slack=st.tuples(st.integers(0, 10), st.integers(0, 10)),
)
def test_no_usage_within_the_bounds_costs_more_than_the_worst_case(
    model: str, at_ms: int, parts: tuple[int, int, int, int, int], slack: tuple[int, int]
):
    plain, output, read, write_5m, write_1h = parts
    usage = Usage(plain + read + write_5m + write_1h, output, read, write_5m, write_1h)
    bound = worst_case(usage.input_tokens + slack[0], output + slack[1], model, at_ms)
    spent = cost(usage, model, at_ms)
    assert bound is not None
    assert spent is not None
    assert spent <= bound


def test_the_worst_case_is_reached_so_it_reserves_no_more_than_needed():
    usage = Usage(200_001, 10, cache_write_1h_tokens=200_001)
    assert cost(usage, "claude-sonnet-4-6", FEBRUARY) == worst_case(
        200_001, 10, "claude-sonnet-4-6", FEBRUARY
    )


@given(system=st.text(), text=st.text(), name=st.text())
def test_the_input_bound_covers_every_byte_a_tokenizer_could_split(
    system: str, text: str, name: str
):
    tool = ToolSpec(name, text, {"type": "object", "description": system})
    request = ModelRequest("m", system, (user(text),), (tool,), schema={"title": name})
    pieces = [system, text, name, text, canonical(tool.input_schema), canonical(request.schema)]
    assert input_bound(request) >= sum(len(p.encode("utf-8", "surrogatepass")) for p in pieces)


def test_the_input_bound_covers_text_that_grows_when_normalised():
    # U+FDFA is 3 bytes as written and 33 after NFKC.
    assert input_bound(ModelRequest("m", "", (user("\ufdfa" * 100),))) >= 3_300


def test_the_input_bound_grows_with_messages_blocks_and_tools():
    one = ModelRequest("m", "s", (user("a"),))
    two = ModelRequest("m", "s", (user("a"), user("a")))
    assert input_bound(two) > input_bound(one)


@pytest.mark.parametrize("nested", [False, True])
def test_an_image_has_no_bound(nested: bool):
    image = {"type": "image", "source": {"type": "url", "url": "https://x.example/a.png"}}
    content = [{"type": "tool_result", "content": [image]}] if nested else [image]
    with pytest.raises(ValueError, match="'image'"):
        input_bound(ModelRequest("m", "", ({"role": "user", "content": content},)))


def test_pricing_needs_no_network_and_importing_it_stays_cheap():
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('touched the network')\n"
        "socket.socket.connect = refuse\n"
        "import governance.prices as p\n"
        "from governance.conversation import Usage\n"
        "assert 'genai_prices' not in sys.modules\n"
        f"print(p.cost(Usage(1, 1), 'claude-sonnet-4-6', {NOW}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "18000000"
