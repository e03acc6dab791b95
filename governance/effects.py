"""What is an effect, and what may become of asking for one?

Values of the transactions T4 to T6 (design, section 5). Times are Unix milliseconds, UTC; money is whole
pico-USD (`parts.PICO`).
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from governance.charges import Amounts, Charge
from governance.conversation import Usage
from governance.parts import Json
from governance.waits import Wait

Kind = Literal[
    "model", "tool", "delegate", "sandbox", "push", "step", "card", "notice", "marker", "note"
]
"""What an effect is. `step` marks that all calls of one step are in; it and `delegate` have no ledger row.

`marker` (which code path an item takes) and `note` (what changed while it waited) stand beside the sequence.
"""

StopReason = Literal[
    "steps", "tokens", "cost", "budget", "minutes", "stalled", "rounds", "refusal", "truncated", "malformed",
    "verifier", "checker", "rejected", "expired", "denied", "diverged", "not_reproduced",
    "environment_broken", "unavailable", "refused_outside", "in_doubt", "lives", "cancelled", "breaker",
    "damaged", "fan_out",
]  # fmt: skip
"""Why something ended before it was done."""

BY_PEOPLE: tuple[StopReason, ...] = (
    "rejected", "expired", "cancelled", "denied", "breaker", "fan_out",
)  # fmt: skip
"""Stops that somebody decided, or must decide about: no failure, and no success either."""


@dataclass(frozen=True)
class Stop:
    """A stop as a value: the reason, and one sentence a person can act on."""

    reason: StopReason
    detail: str


@dataclass(frozen=True)
class Principal:
    """Whom spend and rights belong to; copied onto every ledger row."""

    loop: str
    owner: str
    team: str
    agent: str
    """`lead`, the sub-agent's name, `verifier` or `loop` (deliveries and the cheap look)."""
    role: str
    """`lead`, `maker`, `checker`, `explorer`, `verifier` or `loop`."""


@dataclass(frozen=True)
class Place:
    """Where an effect stands. `owner` is the item's id, or the run's for what a heartbeat does itself."""

    run: str
    owner: str
    round: int
    lane: str
    step: int
    ordinal: int

    @property
    def key(self) -> str:
        """The effect's name for ever: lower case, digits and dashes."""
        return f"{self.owner}-{self.round}-{self.lane}-{self.step}-{self.ordinal}"


def round_in(key: str) -> int:
    """The number of the round that a key names."""
    return int(key.split("-")[1])


@dataclass(frozen=True)
class Intent:
    """T4: all that is judged and written before the world is touched."""

    place: Place
    kind: Kind
    name: str
    """The model's registry name, `connector.tool`, `workspace.<tool>`, or the command's label."""
    principal: Principal
    rule: str
    """The rule that let it through, in words a person can look up."""
    head: str
    """The conversation's chained head before this effect; the empty head outside a lane."""
    args: Json
    """Canonical arguments of a tool or command; empty for a model call."""
    fence: int
    now: int
    send_by: int
    """No first byte after this moment."""
    lease: int
    """After this moment an open row belongs to nobody and becomes `unknown`."""
    repeatable: bool
    """A read, a model call, a sandbox command, or an idempotent tool: may be tried again when in doubt."""
    charges: tuple[Charge, ...] = ()
    """What it may cost the run and the item at most."""
    most: Amounts = field(default_factory=Amounts)
    """What it may take at most, for every other budget that counts it."""
    price: Json = field(default_factory=dict[str, object])
    """The prices it is reserved at, as they are pinned on the ledger row."""
    card: str | None = None
    """The approved card this effect uses up."""
    tree: str | None = None
    needs: tuple[str, ...] = ()
    """Kinds of evidence with a good verdict that must exist about `tree`: `verified`, `checked`."""
    attributes: Json = field(default_factory=dict[str, object])
    """Further span attributes, already redacted."""
    tool_digest: str | None = None
    """The tool as it is described now; an approved card must name the same, when given."""
    awake_limit_ms: int | None = None
    """The awake time of the item, waiting left out, after which nothing new starts; None for no limit."""
    wait_limit_ms: int | None = None
    """How long the item may wait for what comes by itself, in all; None for as long as it takes."""
    asks_last: bool = False
    """Its process will not ask again for what has no room now: people are told, and it is refused or suspended."""

    def later(self, now: int) -> "Intent":
        """The same, asked for now: what it may take is counted from its admission."""
        waited = now - self.now
        return replace(self, now=now, send_by=self.send_by + waited, lease=self.lease + waited)


@dataclass(frozen=True)
class Admitted:
    """T4 said yes: try number `attempt` may touch the world until `send_by`."""

    attempt: int
    span: str


NOT_BEFORE = "loop.retry.not_before"
"""The attribute of a failed try that holds the moment before which no next one is admitted."""
FARTHEST_S = 31 * 86_400.0
"""A moment further off than this is a number that a server made up."""


@dataclass(frozen=True)
class Recorded:
    """The effect was done before: this is its result, and what was recorded about the asking."""

    result: Json
    labels: tuple[str, ...]
    tree: str | None
    head: str
    args: Json
    kind: Kind
    head_after: str = ""
    """The chained head after it; `head` is the one it was asked under."""


@dataclass(frozen=True)
class Refused:
    """T4 said no, and nothing was written but an item's stop."""

    stop: Stop
    wait: Wait | None = None
    """What has no room now and surely will have some: no stop was written, and asking again may be let in."""


@dataclass(frozen=True)
class InDoubt:
    """It was started by a process that is gone and may have happened; a person must say (`card`)."""

    card: str


@dataclass(frozen=True)
class Early:
    """The far side asked with the last try to be left alone until this moment; nothing was written."""

    until: int


Admission = Admitted | Recorded | Refused | InDoubt | Early


CostStatus = Literal["priced", "unpriced", "undeclared", "free"]
"""`unpriced`: a model without a price. `undeclared`: a tool or a sandbox whose price nobody has said."""
NO_PRICE: tuple[CostStatus, ...] = ("unpriced", "undeclared")
"""What was settled so has no cost: unknown, and not 0."""


@dataclass(frozen=True)
class Settlement:
    """T5: what really happened, for the ledger and the journal."""

    now: int
    result: Json
    cost: int | None
    """pico-USD; None when the price is unknown."""
    cost_status: CostStatus
    price: Json
    """Unit prices used and the price book, as `prices.Price.as_json` gives them."""
    list_cost: int | None = None
    """pico-USD at list price; None where no list has a price."""
    usage: Usage = field(default_factory=Usage)
    paid: Amounts = field(default_factory=Amounts)
    """What it really took, of every budget that it held."""
    head: str = ""
    """The chained head after this effect."""
    labels: tuple[str, ...] = ()
    tree: str | None = None
    state: str | None = None
    """Digest of the workspace manifest after this effect."""
    evidence: tuple["Evidence", ...] = ()
    response_model: str | None = None
    attributes: Json = field(default_factory=dict[str, object])
    error: str | None = None
    """`error.type` when the far side answered with an error that is itself the result."""


@dataclass(frozen=True)
class Evidence:
    """What a verifier or checker established about exactly one tree."""

    kind: Literal["base", "verified", "checked"]
    tree: str
    verdict: str
    """`failing`, `passing`, `broken` (base); `passed`, `failed` (verified); `accept`, `revise`, `reject` (checked)."""
    by: str
    detail: str
