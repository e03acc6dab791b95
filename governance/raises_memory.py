"""What must the one memory know about caps and raises?"""

from typing import Protocol

from governance.raises import NotRaised, Raised, RaiseRow, Raising
from governance.records import Budget, ItemRow


class Raises(Protocol):
    """Part of `governance.memory.Store`."""

    async def caps(
        self, run: str, owner: str, *, awake_limit_ms: int, now: int
    ) -> tuple[Budget, ...]:
        """The caps of an item (or a heartbeat) and of its run as they stand; an item's awake minutes among them."""
        ...

    async def windows(self, budget: str) -> tuple[Budget, ...]:
        """One budget in each of its windows, the newest first."""
        ...

    async def in_window(self, window: str) -> tuple[Budget, ...]:
        """Every budget of one window, by name; of a run all that are its own and its items'."""
        ...

    async def raises_of(self, budget: str, window: str) -> tuple[RaiseRow, ...]:
        """The raises of one budget in one window, oldest first."""
        ...

    async def stopped_for(self, budget: str, window: str) -> tuple[ItemRow, ...]:
        """Items that this cap has stopped."""
        ...

    async def waiting(self) -> tuple[ItemRow, ...]:
        """Items that wait for room in budgets, whoever waits longest first."""
        ...

    async def raise_cap(self, wanted: Raising, *, now: int) -> Raised | NotRaised:
        """Raise one cap, audited, hand out anew what had stopped for it, and wake what waited; all or nothing."""
        ...
