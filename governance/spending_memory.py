"""What must the one memory know about rules about spending, and about what a heartbeat hands out at once?"""

from typing import Protocol

from governance.budgets import BudgetRule, FanOutRule
from governance.fanout import Answering, FanOut, FanOutRuleInForce, NotAnswered
from governance.records import RuleInForce


class Spending(Protocol):
    """Part of `governance.memory.Store`."""

    async def rules(self) -> tuple[RuleInForce, ...]:
        """The rules about spending that are in force, by name."""
        ...

    async def fan_out_rules(self) -> tuple[FanOutRuleInForce, ...]:
        """The rules about fan-outs that are in force, by name."""
        ...

    async def put_rules(
        self, wanted: tuple[BudgetRule, ...], fan_outs: tuple[FanOutRule, ...], *, by: str, now: int
    ) -> None:
        """Put exactly these rules in force, audited; a changed cap holds for windows that have begun, too."""
        ...

    async def fan_out(self, run: str) -> FanOut | None:
        """What the run's heartbeat handed out, with its price; None when it found nothing new."""
        ...

    async def fan_outs(self, *, kept_back: bool = False, limit: int = 50) -> tuple[FanOut, ...]:
        """Fan-outs, newest first; with `kept_back` only those that wait for a person."""
        ...

    async def answer_fan_out(self, wanted: Answering, *, now: int) -> FanOut | NotAnswered:
        """Hand out what was kept back, or end it, audited and on the loop's page; all or nothing, and once."""
        ...
