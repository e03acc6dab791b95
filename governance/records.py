"""Which rows does the store hand out?

Times are Unix milliseconds, UTC; money is whole pico-USD (`parts.PICO`).
"""

from dataclasses import dataclass, field
from typing import Literal

from governance.answers import Answer, CardKind
from governance.budgets import BudgetRule
from governance.conversation import Usage
from governance.effects import CostStatus, Evidence, Kind, Place, Principal, Stop
from governance.parts import Json
from governance.rounds import Restarts
from governance.waits import Waits

ItemStatus = Literal["found", "kept_back", "working", "waiting", "done", "stopped"]
"""`kept_back`: in the inbox, and not handed out until a person lets its fan-out go."""
RunStatus = Literal["open", "closed"]


@dataclass(frozen=True)
class Finding:
    """One thing worth an agent's time. `dedupe` names the same finding tomorrow."""

    dedupe: str
    title: str
    brief: str
    reproduce: str | None = None
    """Text the verifier's output on the untouched base must contain, when the finding claims one."""
    source: Json = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class RunRow:
    """One heartbeat with its items."""

    run: str
    loop: str
    slot: str
    flow_run: str
    definition: str
    status: RunStatus
    open_items: int
    opened_at: int
    closed_at: int | None
    stop: Stop | None
    summary: str | None
    payload: str | None = None
    """What the delivery that fired it carried: text from outside, never an instruction."""


@dataclass(frozen=True)
class ItemRow:
    """One finding on its way."""

    item: str
    loop: str
    run: str
    finding: Finding
    status: ItemStatus
    definition: str
    flow_run: str | None
    round: int
    life: int
    fence: int
    base: str | None
    tree: str | None
    state: str | None
    stop: Stop | None
    outcome: Json | None
    found_at: int
    closed_at: int | None
    awake_ms: int
    posted_key: str | None
    """The pause key of the last form posted, whose answer may wait in Prefect."""
    posted_n: int
    restarts: Restarts = ()
    """Rounds that people had begun anew, and the numbers these go by since."""
    noted: Json | None = None
    """What was in force when the last form was posted (`standing`); compared when the item goes on."""
    waits: Waits | None = None
    """What it waits for that comes by itself."""
    waited_ms: int = 0
    """How long it waited for such things before."""


@dataclass(frozen=True)
class Claimed:
    """T3 said yes: this life, with everything on record for it."""

    item: ItemRow
    journal: tuple["Entry", ...]


@dataclass(frozen=True)
class Entry:
    """One journal row, results inlined."""

    key: str
    place: Place
    kind: Kind
    name: str
    status: Literal["intended", "done", "doubt"]
    head_before: str
    head_after: str
    args: Json
    result: Json | None
    labels: tuple[str, ...]
    tree: str | None
    state: str | None
    attempts: int


@dataclass(frozen=True)
class Card:
    """One question to a person, bound to the exact bytes that would run."""

    card: str
    """Named by item and action digest: the same action proposed again joins the open card."""
    item: str
    run: str
    loop: str
    kind: CardKind
    key: str
    """The effect it is about."""
    tool: str
    arguments: Json
    tool_digest: str
    policy_digest: str
    tree: str | None
    by: Principal
    why: str
    evidence: tuple[Evidence, ...]
    cost: int
    """pico-USD the item has spent when the card was made."""
    diff: str | None
    reach: str
    asked_at: int
    deadline: int | None
    on_deadline: Literal["reject", "approve"] | None
    posted_n: int = 0
    answer: Answer | None = None
    answered_by: str | None = None
    """Who claims to have answered; identity is not proven (`claimed`)."""
    reason: str | None = None
    answered_at: int | None = None
    used_by: str | None = None
    not_before: int | None = None
    """An answer before this moment is not taken: the effect in doubt may still be on its way."""
    facts: Json | None = None
    """What else is known: of an effect in doubt, `process` and `probe`; of a round that diverged, `again`."""
    result: Json | None = None
    """What an effect that happened counts as having given, as its asker is told."""


@dataclass(frozen=True)
class LedgerRow:
    """One try of one effect = one leaf span."""

    seq: int
    """Order of settling, 0 while open; a row that changes once more gets a new one."""
    key: str
    attempt: int
    place: Place
    principal: Principal
    kind: Kind
    name: str
    status: Literal["open", "done", "failed", "unknown", "late"]
    started_at: int
    ended_at: int | None
    usage: Usage
    reserved: int
    cost: int | None
    """What we pay, pico-USD; None while it is open, and where nobody can say."""
    cost_status: CostStatus | Literal["open"]
    price: Json
    """Prices per unit and the price book; of an open try those it was reserved at."""
    response_model: str | None
    span: str
    parent_span: str
    trace: str
    error: str | None
    attributes: Json
    list_cost: int | None = None
    """pico-USD at list price; None where no list has a price."""


@dataclass(frozen=True)
class StatePage:
    """What a loop knows between heartbeats. `body` is Markdown; corrections are kept with their author."""

    loop: str
    version: int
    body: str
    at: int
    by: str


OutgoingKind = Literal[
    "dispatch", "resume", "notice", "restart", "fire", "end", "pause", "unpause"
]  # fmt: skip


@dataclass(frozen=True)
class PageMoved:
    """A newer version of the state page is there than the one this was composed from; nothing was written."""

    version: int


@dataclass(frozen=True)
class Outgoing:
    """One outbox row.

    `dispatch` starts a work run, `resume` wakes one, `restart` starts one again whose process is gone, `notice`
    tells a person; `fire` starts a heartbeat for a delivery, `end` ends one that hangs, `pause` and `unpause` switch a
    loop's schedules.
    """

    kind: OutgoingKind
    key: str
    payload: Json
    sent_at: int | None = None


@dataclass(frozen=True)
class Budget:
    """A cap over a window. Amounts are in the unit named by the budget (`usd` in pico-USD, `tokens`, `steps`)."""

    budget: str
    window: str
    cap: int
    held: int = 0
    spent: int = 0
    unknown: int = 0

    @property
    def left(self) -> int:
        """What may still be asked for now: the cap without what is settled, unknown and held; below 0 when overshot."""
        return self.cap - self.spent - self.unknown - self.held


@dataclass(frozen=True)
class RuleInForce:
    """A rule about spending, since when it holds, and who said so."""

    rule: BudgetRule
    since: int
    by: str
