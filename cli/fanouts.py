"""How does a fan-out read: for people, and for programs?"""

from cli.words import columns, exact, money, one_line, span, stamp
from governance.approvals import moment
from governance.fanout import Excess, FanOut
from governance.parts import Json

HEAD = ("RUN", "LOOP", "ITEMS", "PRICE", "STANDING", "AGE", "SAID")


def table(found: tuple[FanOut, ...], now: int) -> str:
    """Several of them, with what was said of each."""
    return columns([HEAD, *(_line(one, now) for one in found)])


def _line(one: FanOut, now: int) -> tuple[str, ...]:
    usd = money(one.price.usd) if one.price.usd is not None else "unknown"
    age = span(now - one.at)
    said = one_line(said_of(one))
    return (one.run, one.loop, f"{one.price.items:,}", usd, one.standing, age, said)


def said_of(one: FanOut) -> str:
    """Its price and what it was weighed against, and who let it go or discarded it."""
    if one.answer is None or one.answered_at is None:
        return one.told
    return f"{one.told}; {one.standing} by {one.by} at {moment(one.answered_at)}: {one.why}"


def fan_out_json(one: FanOut) -> Json:
    """For `--json` outputs: USD as decimals in text, null where nobody can say."""
    price = one.price
    return {
        "run": one.run,
        "loop": one.loop,
        "items": price.items,
        "expected_usd": _usd(price.usd),
        "each_usd": _usd(price.each),
        "rests_on": price.ceiling or ("past" if price.usd is not None else None),
        "past_items": price.past,
        "told": one.told,
        "standing": one.standing,
        "refused_by": [_excess(e) for e in one.refused_by],
        "at": stamp(one.at),
        "by": one.by,
        "why": one.why,
        "answered_at": stamp(one.answered_at),
    }


def _usd(amount: int | None) -> str | None:
    return None if amount is None else exact(amount)


def _excess(excess: Excess) -> Json:
    limit = exact(excess.limit) if excess.unit == "usd" else excess.limit
    return {"rule": excess.rule, "unit": excess.unit, "limit": limit}
