"""Does the ledger hold what the provider billed, by model and UTC day, and what explains the rest?

Pure: a report and the tries of a stretch of days go in, what was compared and what may be resolved comes out. The rule
and why it is so: docs/reconciliation.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from governance.bill import Billed, Meters, PriceOf, Stretch, Units
from governance.parts import Json
from governance.tried import Tried


@dataclass(frozen=True)
class Share:
    """What becomes of one unknown try."""

    key: str
    attempt: int
    cost: int
    meters: Meters
    billed: bool
    """False: the report shows that it was not billed."""
    together: int = 1
    """How many tries one sum was shared among: only their sum is known then."""


State = Literal["equal", "resolved", "unexplained", "unclear", "waits"]


@dataclass(frozen=True)
class Compared:
    """One model over one stretch of days."""

    model: str
    days: Stretch
    state: State
    why: str
    """For people: what the state rests on."""
    billed: Billed
    settled: Meters
    settled_usd: int
    """Before what is resolved here."""
    unknown: int
    """Tries that were unknown before."""
    unknown_usd: int
    """The worst case they hold."""
    shares: tuple[Share, ...] = ()
    off: Meters | None = None
    """Billed beyond what is settled now: what nothing explains."""
    off_usd: int | None = None
    price: Json = field(default_factory=dict[str, object])
    """Unit prices and price book of what is resolved here, where every call has the same."""

    @property
    def resolved_usd(self) -> int:
        """What the resolved tries come to."""
        return sum(share.cost for share in self.shares)


def compared(
    model: str, days: Stretch, billed: Billed, tries: Sequence[Tried], price_of: PriceOf
) -> Compared:
    """Compare one stretch, and say which unknown tries its bill resolves.

    Tokens decide where the report tells them, for they know no price; else the amount does. All or nothing: the
    unknown tries of the stretch explain the difference together, within what they hold, or none is touched.
    """
    settled = [t for t in tries if t.status == "settled"]
    unknown = sorted(
        (t for t in tries if t.status == "unknown"), key=lambda t: (t.began, t.key, t.attempt)
    )
    known = sum((t.meters for t in settled), Meters())
    amount = sum(t.cost or 0 for t in settled)
    unpriced = sum(t.cost is None for t in settled)
    if unpriced and billed.tokens is not None:
        billed = replace(billed, usd=None)
    base = Compared(
        model, days, "waits", "", billed, known, amount, len(unknown), sum(t.held for t in unknown),
        off=None if billed.tokens is None else billed.tokens - known,
        off_usd=None if billed.usd is None else _beyond(billed.usd - amount, billed.slack),
    )  # fmt: skip
    if any(t.status == "open" for t in tries):
        return _as(
            base,
            "waits",
            "a call of these days is still open; housekeeping closes it after its lease",
        )
    units = _flat(unknown, price_of)
    owed = _owed(base, unknown, units, unpriced=unpriced)
    if isinstance(owed, Compared):
        return owed
    tokens, usd = owed
    shares = _shares(unknown, tokens, usd)
    after = _as(base, "resolved" if unknown else "equal", _told(unknown, usd, tokens), shares)
    return _with_rest(after, tokens, usd, units)


def _owed(
    base: Compared, unknown: Sequence[Tried], units: Units | None, *, unpriced: int
) -> tuple[Meters, int] | Compared:
    """What the unknown tries have to explain, in tokens and pico-USD; or why they do not."""
    if base.off is not None:
        return _by_tokens(base, base.off, unknown, units)
    if unpriced:
        why = f"{unpriced:,} settled calls have no price: amounts cannot be compared"
        return _as(base, "unclear", why)
    return _by_amount(base, unknown, units)


def _by_tokens(
    base: Compared, off: Meters, unknown: Sequence[Tried], units: Units | None
) -> tuple[Meters, int] | Compared:
    if min(off.each) < 0:
        return _as(
            base, "unexplained", "fewer tokens were billed than calls of ours were answered with"
        )
    if off.total == 0:
        return off, 0
    if not unknown:
        return _as(
            base, "unexplained", "more was billed than we called, and no call of ours is unknown"
        )
    usd = units.cost(off) if units else base.off_usd
    if usd is None:
        return _as(
            base,
            "unclear",
            "the price depends on each call (tiers, a change), and the report tells no amount",
        )
    room = _room(unknown, off.total)
    if usd < 0 or usd > base.unknown_usd or off.total > sum(room):
        return _as(base, "unexplained", "more was billed than the unknown calls can have cost")
    return off, usd


def _by_amount(
    base: Compared, unknown: Sequence[Tried], units: Units | None
) -> tuple[Meters, int] | Compared:
    off, slack = base.off_usd or 0, base.billed.slack
    if not unknown and off == 0:
        return Meters(), 0
    if unknown and off == 0:
        least = min((unit for unit in units.each if unit), default=None) if units else None
        if slack and (least is None or slack >= least):
            return _as(
                base,
                "unclear",
                "the report rounds its amounts, and one small call would not show in them",
            )
        return Meters(), 0
    if off < 0:
        return _as(base, "unexplained", "less was billed than calls of ours cost")
    if not unknown:
        return _as(
            base, "unexplained", "more was billed than we called, and no call of ours is unknown"
        )
    if off > base.unknown_usd:
        return _as(base, "unexplained", "more was billed than the unknown calls can have cost")
    return Meters(), off


def _shares(unknown: Sequence[Tried], tokens: Meters, usd: int) -> tuple[Share, ...]:
    if not unknown:
        return ()
    if usd == 0 and tokens.total == 0:
        return tuple(Share(t.key, t.attempt, 0, Meters(), billed=False) for t in unknown)
    costs = shared(usd, [t.held for t in unknown])
    left = shared(tokens.total, _room(unknown, tokens.total))
    by_meter: list[list[int]] = []
    for amount in tokens.each:
        part = shared(amount, left)
        left = [room - n for room, n in zip(left, part, strict=True)]
        by_meter.append(part)
    return tuple(
        Share(t.key, t.attempt, cost, Meters(*meters), billed=True, together=len(unknown))
        for t, cost, *meters in zip(unknown, costs, *by_meter, strict=True)
    )


def shared(amount: int, bounds: Sequence[int]) -> list[int]:
    """The amount, shared in proportion to the bounds and never above one; the sum is the amount.

    What does not divide goes to the first that have room. Raises `ValueError` when the bounds have no room for it.
    """
    room = sum(bounds)
    if not 0 <= amount <= room:
        raise ValueError(f"{amount:,} cannot be shared within {room:,}")
    parts = [amount * bound // room for bound in bounds] if room else [0 for _ in bounds]
    left = amount - sum(parts)
    for n, bound in enumerate(bounds):
        more = min(left, bound - parts[n], 1)
        parts[n] += more
        left -= more
    return parts


def _with_rest(after: Compared, tokens: Meters, usd: int, units: Units | None) -> Compared:
    """What is left when the unknown tries are resolved: with equal tokens, a difference of prices."""
    off = None if after.off is None else after.off - tokens
    rest = None
    if after.billed.usd is not None:
        rest = _beyond(after.billed.usd - after.settled_usd - usd, after.billed.slack)
    found = replace(after, off=off, off_usd=rest, price=units.as_json if units else {})
    if not rest:
        return found
    why = f"{after.why}; the tokens agree, and the amounts do not: the prices differ"
    return replace(found, state="unexplained", why=why)


def _told(unknown: Sequence[Tried], usd: int, tokens: Meters) -> str:
    n = len(unknown)
    if not n:
        return "the ledger and the bill agree"
    calls = "the one unknown call" if n == 1 else f"{n:,} unknown calls"
    if not usd and not tokens.total:
        return f"{calls} not billed"
    return f"{calls} billed" if n == 1 else f"{calls} billed together: only their sum is known"


def _as(base: Compared, state: State, why: str, shares: tuple[Share, ...] = ()) -> Compared:
    return replace(base, state=state, why=why, shares=shares)


def _flat(unknown: Sequence[Tried], price_of: PriceOf) -> Units | None:
    """The unit prices all of them share; None when there are none such."""
    found = {price_of(t.asked, t.began) for t in unknown}
    return found.pop() if len(found) == 1 else None


def _room(unknown: Sequence[Tried], most: int) -> list[int]:
    return [most if t.held_tokens is None else t.held_tokens for t in unknown]


def _beyond(off: int, slack: int) -> int:
    return 0 if abs(off) <= slack else off
