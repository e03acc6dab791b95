"""What must the one memory be able to do?

`drivers/store` implements it; the transactions T1 to T10 are those of the design, section 5.
"""

from typing import Literal, Protocol

from governance.answers import Answer
from governance.doubt_memory import Doubts
from governance.effects import (
    Admission,
    Evidence,
    Intent,
    Kind,
    Place,
    Recorded,
    Refused,
    Settlement,
    Stop,
)
from governance.fanout import Ceiling
from governance.firing_memory import Firings
from governance.meter import Reading
from governance.parts import Json
from governance.raises_memory import Raises
from governance.records import (
    Budget,
    Card,
    Claimed,
    Entry,
    Finding,
    ItemRow,
    LedgerRow,
    PageMoved,
    RunRow,
    StatePage,
)
from governance.spending_memory import Spending
from governance.upkeep import Upkeep
from governance.waits import Awaited


class Store(Firings, Doubts, Upkeep, Raises, Spending, Protocol):
    """The one memory. Every method is one transaction, durable when it returns."""

    # definitions and audit -------------------------------------------------
    async def pin(self, kind: str, name: str, body: str, *, by: str, now: int) -> str:
        """Keep a definition's content and put it in force; its digest. Audited when it changes."""
        ...

    async def definition(self, digest: str) -> str:
        """A pinned body. Raises `StoreError` when it is unknown or does not match its digest."""
        ...

    # runs and items ----------------------------------------------------------
    async def open_run(
        self, run: str, *, loop: str, slot: str, flow_run: str, definition: str,
        budgets: tuple[Budget, ...], now: int, lease: int | None = None, payload: str | None = None,
        owner: str = "unowned", team: str = "unassigned",
    ) -> RunRow | Refused:  # fmt: skip
        """T1: the run of (loop, slot). Its `flow_run` differs from the one given when another was first.

        Refused for a new slot of a loop that the breaker has paused, or whose runs a budget rule counts and has no
        more room for. After `lease` the heartbeat counts as stuck.
        """
        ...

    async def found(
        self, run: str, findings: tuple[tuple[str, Finding], ...], *, definition: str,
        budgets: tuple[Budget, ...], state: str | None, summary: str, now: int,
        owner: str = "unowned", team: str = "unassigned", ceilings: tuple[Ceiling, ...] = (),
    ) -> tuple[ItemRow, ...]:  # fmt: skip
        """T2: the items that are new (not open under the same dedupe key), with their dispatch in the outbox.

        First they are priced, by the loop's past or by `ceilings`. Above a rule about fan-outs none is dispatched: all
        are `kept_back`, with the stop that says why, until `answer_fan_out`.

        `findings` come with their item ids, `short_id("i", loop, dedupe, run)`; others raise `StoreError`.
        `budgets` are templates whose `{item}` is filled in for each. With no open item left the run closes.
        Repeating it gives the same items.
        """
        ...

    async def claim(
        self, item: str, *, flow_run: str, now: int, lease: int, max_lives: int,
        process: Json | None = None,
    ) -> Claimed | Refused:  # fmt: skip
        """T3: take the fence. Refused when the item is final, another flow run's, or out of lives.

        `process` is who lives from now on; `process_of` tells it of a try that this life opens.
        """
        ...

    async def intend(self, intent: Intent) -> Admission:
        """T4: all checks and all holds, or a refusal value; the ledger row is open when it returns Admitted.

        `Early` when the last try failed with a moment named that is still to come.
        """
        ...

    async def done(self, place: Place, attempt: int, settlement: Settlement) -> Recorded:
        """T5: settle; the first `done` is the result, a later one is kept as `late` and gets the first's."""
        ...

    async def fail(
        self, place: Place, attempt: int, *, status: Literal["failed", "unknown"], error: str,
        attributes: Json, now: int,
    ) -> None:  # fmt: skip
        """T6: `failed` frees the holds; `unknown` moves them to unknown, where they count until reconciled."""
        ...

    async def record(
        self, place: Place, *, kind: Kind, name: str, head: str, head_after: str, args: Json,
        result: Json, labels: tuple[str, ...], fence: int, now: int,
        evidence: tuple[Evidence, ...] = (),
    ) -> Recorded:  # fmt: skip
        """A journal row with no effect outside (a `step`, a refusal, a verdict); the first wins."""
        ...

    async def end_run(self, run: str, *, stop: Stop, now: int) -> RunRow:
        """Close a run whose heartbeat found nothing because it was stopped."""
        ...

    async def advance(
        self, item: str, *, fence: int, round: int, base: str | None, now: int
    ) -> None:
        """Where the item stands; refused (`StoreError`) for an older fence."""
        ...

    async def stop(self, owner: str, stop: Stop, *, now: int) -> None:
        """Put a stop on an item or a heartbeat, so that nothing new is admitted."""
        ...

    async def close(
        self, item: str, *, fence: int, status: Literal["done", "stopped"], outcome: Json,
        stop: Stop | None, state: str, seen: int, now: int,
    ) -> RunRow | PageMoved:  # fmt: skip
        """T9: the item's outcome and the state page; at zero open items the run closes.

        `seen` is the version that `state` was composed from, 0 for none; when it is not the newest any more the page
        is to be composed again, or what a person said meanwhile would be lost.
        """
        ...

    # people ------------------------------------------------------------------
    async def ask(self, card: Card, *, notice: Json, fence: int) -> Card:
        """T7: the card, or the open or unused one for the same action; the item waits; one notice.

        Once used, the same action gets a fresh card: what comes back is named by the store.
        """
        ...

    async def posted(
        self, item: str, *, fence: int, now: int, noted: Json | None = None,
        waits: tuple[Awaited, ...] = (), wait_limit_ms: int | None = None,
    ) -> str:  # fmt: skip
        """A fresh pause key for one more wait: `card-<item>-<n>`; the item is `waiting` under it.

        `noted` is what is in force now, to be compared when the item goes on; `waits` what comes by itself,
        which `sweep` and a raise look at, for at most `wait_limit_ms` in all its waits.
        """
        ...

    async def answer(
        self, card: str, *, answer: Answer, by: str, reason: str, now: int, result: str = ""
    ) -> Card:
        """T8: the first answer wins and is audited; a later one gets the first. Wakes the item by outbox.

        `result` is what an effect that happened gave, as JSON or text. Raises `StoreError` for an answer that
        such a card does not take.
        """
        ...

    async def cards(self, *, item: str | None = None, open_only: bool = True) -> tuple[Card, ...]:
        """Cards, oldest first."""
        ...

    async def card(self, card: str) -> Card | None:
        """One card."""
        ...

    # reading ---------------------------------------------------------------
    async def run(self, run: str) -> RunRow | None:
        """One run."""
        ...

    async def runs(self, *, loop: str | None = None, limit: int = 50) -> tuple[RunRow, ...]:
        """Runs, newest first."""
        ...

    async def item(self, item: str) -> ItemRow | None:
        """One item."""
        ...

    async def items(
        self, *, loop: str | None = None, run: str | None = None, open_only: bool = False,
        limit: int = 200,
    ) -> tuple[ItemRow, ...]:  # fmt: skip
        """Items, newest first."""
        ...

    async def entries(self, owner: str) -> tuple[Entry, ...]:
        """The whole journal of an item or of a heartbeat, in order of place."""
        ...

    async def ledger(
        self, *, run: str | None = None, item: str | None = None, after_seq: int | None = None,
        limit: int = 100_000,
    ) -> tuple[LedgerRow, ...]:  # fmt: skip
        """Ledger rows; with `after_seq` only settled ones, in the order they were settled."""
        ...

    async def budget(self, budget: str, window: str) -> Budget | None:
        """One budget in one window."""
        ...

    async def meter(self, *, days: int = 1, now: int) -> Reading:
        """What is held, settled and unknown, and whose, since the UTC midnight `days` - 1 days before `now`'s."""
        ...

    async def run_meter(self, run: str, *, now: int) -> Reading | None:
        """The same of one run, from its beginning; None for a run there is not."""
        ...

    async def put_cap(self, budget: str, window: str, cap: int, *, by: str, now: int) -> Budget:
        """Put a cap in force, or change it; audited when it changes. What is held and spent stays."""
        ...

    async def evidence(self, item: str) -> tuple[Evidence, ...]:
        """All evidence of an item, oldest first."""
        ...

    async def state(self, loop: str, *, version: int | None = None) -> StatePage | None:
        """The newest state page, or an older one by its version."""
        ...

    async def correct(
        self, loop: str, body: str, *, seen: int, by: str, now: int
    ) -> StatePage | PageMoved:
        """A person's correction of version `seen` of the state page (0: there was none): a new version, audited."""
        ...

    async def audit(self, *, limit: int = 100) -> tuple[Json, ...]:
        """Audit rows, newest first."""
        ...
