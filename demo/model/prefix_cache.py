"""Which part of a request has this provider seen before?

A prefix cache as the Messages API has it: entries end where a request set `cache_control`, live five minutes or an
hour from their last use, belong to one key and one model, and are found again from a breakpoint or up to twenty
blocks before it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from demo.model.view import Json

LOOK_BACK = 20
MOST_BREAKPOINTS = 4
_LIFE_S = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True)
class Tokens:
    """Input tokens of one request as the Messages API reports them: side by side, none counted twice."""

    plain: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int

    @property
    def total(self) -> int:
        """All input tokens."""
        return self.plain + self.cache_read + self.cache_write_5m + self.cache_write_1h


@dataclass(frozen=True)
class _Block:
    tokens: int
    digest: str
    """Of everything up to and with this block."""
    life: str | None
    """Time to live of the breakpoint set here, or None."""


class TooManyBreakpoints(ValueError):
    """The request sets more breakpoints than the provider takes."""


class PrefixCache:
    """What was cached for whom; `minimum` is the shortest prefix worth an entry, in tokens."""

    def __init__(self, clock: Callable[[], float], minimum: int = 1024) -> None:
        self._clock, self._minimum = clock, minimum
        self._kept: dict[str, tuple[float, float]] = {}

    def admit(self, key: str, body: Json) -> Tokens:
        """Count a request's input, and remember what it asks to be remembered. Raises `TooManyBreakpoints`."""
        blocks = list(_blocks(key, body))
        breakpoints = [i for i, block in enumerate(blocks) if block.life]
        if len(breakpoints) > MOST_BREAKPOINTS:
            raise TooManyBreakpoints(
                f"A maximum of {MOST_BREAKPOINTS} blocks with cache_control may be provided. Found {len(breakpoints)}."
            )
        hit = self._hit(blocks, breakpoints)
        written = {"5m": 0, "1h": 0}
        start = hit + 1
        for end in breakpoints:
            life = str(blocks[end].life)
            if sum(b.tokens for b in blocks[: end + 1]) >= self._minimum:
                written[life] += sum(b.tokens for b in blocks[start : end + 1])
                start = max(start, end + 1)
                self._keep(blocks[end].digest, _LIFE_S[life])
        return Tokens(
            plain=sum(b.tokens for b in blocks[start:]),
            cache_read=sum(b.tokens for b in blocks[: hit + 1]),
            cache_write_5m=written["5m"],
            cache_write_1h=written["1h"],
        )

    def _hit(self, blocks: list[_Block], breakpoints: list[int]) -> int:
        """The last block of the longest living prefix, or -1."""
        now = self._clock()
        for end in reversed(breakpoints):
            for at in range(end, max(-1, end - LOOK_BACK), -1):
                until, life_s = self._kept.get(blocks[at].digest, (now, 0.0))
                if until > now:
                    self._keep(blocks[at].digest, life_s)
                    return at
        return -1

    def _keep(self, digest: str, life_s: float) -> None:
        self._kept[digest] = (self._clock() + life_s, life_s)


def tokens_of(text: str) -> int:
    """The estimate all counts are made with: four bytes are a token."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def counted(body: Json) -> int:
    """Input tokens of a request, as `count_tokens` answers them."""
    return sum(block.tokens for block in _blocks("", body))


def _blocks(key: str, body: Json) -> Iterator[_Block]:
    """The request as one sequence in the order a model reads it: tools, system, messages."""
    running = hashlib.sha256(f"{key}\0{body.get('model')}\0".encode())
    for place, part in _parts(body):
        control = part.get("cache_control") or {}
        bare = {name: value for name, value in part.items() if name != "cache_control"}
        text = json.dumps(bare, ensure_ascii=False)
        running.update(f"{place}\0{text}\0".encode("utf-8", "surrogatepass"))
        life = str(control.get("ttl", "5m")) if control else None
        yield _Block(tokens_of(text), running.hexdigest(), life)


def _parts(body: Json) -> Iterator[tuple[str, Json]]:
    for tool in body.get("tools") or []:
        yield "tool", tool
    form = (body.get("output_config") or {}).get("format")
    if form:
        yield "format", form
    for block in _listed(body.get("system") or []):
        yield "system", block
    for message in body.get("messages") or []:
        for block in _listed(message.get("content") or []):
            yield str(message.get("role")), block


def _listed(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
