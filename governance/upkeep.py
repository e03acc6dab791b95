"""What must the one memory be able to do for whoever keeps house?

The part of `governance.memory.Store` that no loop needs: what was left behind, what is old, what is still to be sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from governance.effects import CostStatus, Stop
from governance.parts import Json
from governance.reconcile import Compared
from governance.records import Outgoing, PageMoved, RunRow
from governance.recovery import Handed, Restart
from governance.tried import Observed


@dataclass(frozen=True)
class Forgotten:
    """How many rows lost their content."""

    items: int = 0
    heartbeats: int = 0
    entries: int = 0
    cards: int = 0

    @property
    def any(self) -> bool:
        """Whether there was anything to forget."""
        return bool(self.items or self.heartbeats)

    def __add__(self, more: "Forgotten") -> "Forgotten":
        return Forgotten(
            self.items + more.items, self.heartbeats + more.heartbeats, self.entries + more.entries,
            self.cards + more.cards,
        )  # fmt: skip


@dataclass(frozen=True)
class InUse:
    """The blobs that rows name: bodies of values, and manifests of workspaces, which name blobs themselves."""

    bodies: frozenset[str]
    states: frozenset[str]


@dataclass(frozen=True)
class Rerated:
    """What a try costs by other prices than those on its row; the row stays as it is."""

    key: str
    attempt: int
    cost: int | None
    list_cost: int | None
    cost_status: CostStatus
    price: Json


class Upkeep(Protocol):
    """Every method is one transaction, durable when it returns."""

    async def sweep(self, now: int) -> tuple[str, ...]:
        """T10: open rows past their lease become unknown; cards past their deadline get their declared answer; what
        waits for what comes by itself, and came, is woken, by outbox.
        """
        ...

    async def handed_out(self) -> tuple[Handed, ...]:
        """Open items that have a flow run, and open heartbeats that have handed out nothing yet."""
        ...

    async def restart(self, owner: str, flow_run: str, state: str, again: Restart) -> bool:
        """Have a flow run started again that ended too early, by outbox; False when this ending was noted before."""
        ...

    async def give_up(
        self, item: str, *, stop: Stop, outcome: Json, state: str, seen: int, now: int
    ) -> RunRow | PageMoved:  # fmt: skip
        """T9 for an item that no process will end: takes the fence, open tries become unknown."""
        ...

    async def give_up_run(self, run: str, *, stop: Stop, now: int) -> RunRow:
        """Close a heartbeat's run that no process will close; its open tries become unknown."""
        ...

    async def kept_house(self, flow_run: str, *, now: int) -> None:
        """This flow run of Prefect's has looked after everything; the last two are kept on record."""
        ...

    async def housekeepings(self) -> tuple[str, ...]:
        """The flow runs that kept house last, newest first."""
        ...

    async def hand_out_anew(self, gone: Sequence[Handed], *, now: int) -> tuple[str, ...]:
        """Prefect's database was lost, and these flow runs with it: new ones for items, the end for heartbeats.

        One notice; a line for each loss.
        """
        ...

    async def observed(self, since: int, until: int) -> Observed:
        """Every try of a model call that may stand on the bill of these days (Unix milliseconds, from and to)."""
        ...

    async def oldest_unknown(self) -> int | None:
        """When the oldest model call began whose cost nobody knows."""
        ...

    async def reconcile(
        self, found: Compared, seen: int, *, source: str, by: str, now: int
    ) -> bool:
        """Resolve what a bill explains, and note what it does not, once; False when the calls changed since `seen`."""
        ...

    async def in_use(self) -> InUse:
        """Every blob that a row names."""
        ...

    async def forget(self, before: int) -> Forgotten:
        """Drop the content of a portion of what ended before this moment; what happened, and what it cost, stays.

        Repeat it until there is nothing to forget: others write in between, and nothing is half forgotten.
        """
        ...

    async def answered(
        self, *, loop: str | None = None, since: int | None = None
    ) -> tuple[int, ...]:
        """The moments at which people answered cards, Unix milliseconds."""
        ...

    async def begin_rerate(self, *, by: str, why: str, about: str, now: int) -> str:
        """The name of a new pricing of what is on the ledger, audited; the ledger stays as it is."""
        ...

    async def put_rerated(self, rerate: str, rows: Sequence[Rerated]) -> None:
        """A portion of it."""
        ...

    async def end_rerate(self, rerate: str, *, now: int) -> None:
        """It is whole."""
        ...

    async def rerated(self, rerate: str) -> tuple[Rerated, ...]:
        """All of it, by key and try. Raises `StoreError` for one that is not whole."""
        ...

    async def outbox(self, limit: int = 100) -> tuple[Outgoing, ...]:
        """What still has to be sent, oldest first."""
        ...

    async def sent(self, kind: str, key: str, *, now: int, flow_run: str | None = None) -> None:
        """It went out; a dispatch also tells the item its flow run."""
        ...
