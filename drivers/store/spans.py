"""What are the ids of a trace and its spans?

Named by what they stand for (W3C trace context sizes), so that a replay, a late answer and an export agree.
"""

import hashlib
from functools import lru_cache

from governance.effects import Place


@lru_cache(maxsize=1024)
def trace_id(run: str) -> str:
    """The trace of a run, with all its items."""
    return _hex("trace", run)[:32]


def leaf_span(key: str, attempt: int) -> str:
    """The span of one try of one effect."""
    return _hex("try", key, str(attempt))[:16]


def owner_span(owner: str) -> str:
    """The span of an item, or of a run."""
    return _hex("owner", owner)[:16]


def lane_span(place: Place) -> str:
    """The span a leaf hangs from: one conversation in one round of its owner."""
    return _lane_span(place.owner, place.round, place.lane)


@lru_cache(maxsize=1024)
def _lane_span(owner: str, round: int, lane: str) -> str:
    return _hex("lane", owner, str(round), lane)[:16]


def _hex(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
