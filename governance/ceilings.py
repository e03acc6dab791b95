"""How much may the items of a loop cost at most, by the loop's own limits and the prices of now?

A limit in USD bounds all that a run does. Limits in tokens and in steps bound what its models cost: tools, sandboxes
and people's time come on top.
"""

from governance.fanout import Ceiling
from governance.parts import pico
from governance.pinned import Pinned
from governance.prices import Book


def ceilings(pinned: Pinned, book: Book, now: int) -> tuple[Ceiling, ...]:
    """Every limit that has a price; none where a model has none and no limit is in USD."""
    harness, found = pinned.loop.harness, list[Ceiling]()
    if harness.max_cost_usd_per_run is not None:
        found.append(Ceiling("harness.max_cost_usd_per_run", pico(harness.max_cost_usd_per_run)))
    call, token = _dearest(pinned, book, now)
    if call is None or token is None:
        return tuple(found)
    if harness.max_tokens_per_run is not None:
        usd = harness.max_tokens_per_run * token
        found.append(Ceiling("harness.max_tokens_per_run", usd))
    if harness.max_steps_per_run is not None:
        found.append(Ceiling("harness.max_steps_per_run", harness.max_steps_per_run * call))
    found.append(Ceiling("harness.max_steps", harness.max_steps * call, each=True))
    return tuple(found)


def _dearest(pinned: Pinned, book: Book, now: int) -> tuple[int | None, int | None]:
    """The most that one call of any of the loop's models may cost, and one token; None where one has no price."""
    calls: list[int] = []
    tokens: list[int] = []
    for entry in pinned.models.values():
        context, answer = entry.context_tokens, pinned.loop.harness.max_output_tokens
        asked = book.worst_case(context, 0, entry.model, now)
        told = book.worst_case(context, min(answer, entry.max_output_tokens), entry.model, now)
        one_more = book.worst_case(context, 1, entry.model, now)
        if asked is None or told is None or one_more is None:
            return None, None
        calls.append(told)
        tokens.append(max(-(-asked // context), one_more - asked))
    return max(calls), max(tokens)
