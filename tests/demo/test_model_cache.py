"""Does the provider's prefix cache keep, find and forget as the Messages API says it does?"""

import pytest

from demo.model.prefix_cache import PrefixCache, TooManyBreakpoints
from demo.model.view import Json

MARK: Json = {"cache_control": {"type": "ephemeral"}}
HOUR: Json = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> PrefixCache:
    return PrefixCache(clock, minimum=100)


def turns(*marks: Json, size: int = 600) -> Json:
    """One user message a mark; each holds enough for an entry of its own."""
    return {
        "model": "m",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"{n}" * size, **mark}]}
            for n, mark in enumerate(marks)
        ],
    }


def test_what_was_written_once_is_read_the_next_time(cache: PrefixCache):
    first = cache.admit("k", turns({}, MARK))
    assert (first.plain, first.cache_read, first.cache_write_5m) == (0, 0, first.total)
    longer = cache.admit("k", turns({}, MARK, MARK, {}))
    assert longer.cache_read == first.total
    assert longer.plain == longer.cache_write_5m == longer.total // 4
    assert longer.cache_write_1h == 0


@pytest.mark.parametrize("change", [{"key": "other"}, {"model": "n"}, {"tools": [{"name": "t"}]}])
def test_another_key_model_or_beginning_reads_nothing(cache: PrefixCache, change: Json):
    cache.admit("k", turns(MARK))
    other = {**turns(MARK), **{k: v for k, v in change.items() if k != "key"}}
    assert cache.admit(change.get("key", "k"), other).cache_read == 0
    assert cache.admit("k", turns(MARK)).cache_read > 0


def test_one_changed_byte_in_the_past_loses_what_follows(cache: PrefixCache):
    cache.admit("k", turns(MARK, MARK))
    body = turns(MARK, MARK)
    body["messages"][1]["content"][0]["text"] += "!"
    again = cache.admit("k", body)
    assert again.cache_read < again.total / 1.9


def test_an_entry_lives_five_minutes_from_its_last_use(cache: PrefixCache, clock: Clock):
    cache.admit("k", turns(MARK))
    for _ in range(3):
        clock.now += 299
        assert cache.admit("k", turns(MARK)).cache_read > 0
    clock.now += 301
    assert cache.admit("k", turns(MARK)).cache_read == 0


def test_an_hour_can_be_paid_for(cache: PrefixCache, clock: Clock):
    first = cache.admit("k", turns(HOUR, MARK))
    assert first.cache_write_1h > 0
    assert first.cache_write_5m > 0
    clock.now += 3599
    later = cache.admit("k", turns(HOUR, MARK))
    assert later.cache_read == first.cache_write_1h
    assert later.cache_write_5m == first.cache_write_5m


def test_a_prefix_that_is_too_short_is_not_kept(cache: PrefixCache):
    assert cache.admit("k", turns(MARK, size=10)).cache_write_5m == 0
    assert cache.admit("k", turns(MARK, size=10)).cache_read == 0


def test_an_entry_is_found_at_most_twenty_blocks_before_a_breakpoint(cache: PrefixCache):
    cache.admit("k", turns(MARK))
    assert cache.admit("k", turns(*[{}] * 19, MARK)).cache_read > 0
    cache.admit("j", turns(MARK))
    assert cache.admit("j", turns(*[{}] * 20, MARK)).cache_read == 0


def test_five_breakpoints_are_an_error(cache: PrefixCache):
    with pytest.raises(TooManyBreakpoints, match="maximum of 4"):
        cache.admit("k", turns(*[MARK] * 5))
