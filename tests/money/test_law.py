"""Whatever happens in whatever order: is the far side's bill always within what we say of it?"""

import sqlite3
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy.dialects import sqlite

from drivers.store import effects, housekeeping, items, runs, settling
from drivers.store.bodies import Body
from drivers.store.connection import SqliteSql
from drivers.store.migrations import migrate
from governance.charges import Amounts, Charge
from governance.effects import Admitted, Intent, Place, Principal, Settlement
from governance.errors import StoreError
from governance.parts import digest, short_id
from governance.records import Budget, Finding

LOOP, RUN, BUDGET = "triage", "r1", "run:r1:usd"
CAP = 100
ARGS = Body("{}", digest({}))
BY = Principal(LOOP, "noor", "platform", "lead", "lead")


@dataclass
class Try:
    """What the far side knows of one try, and we may never hear."""

    held: int
    lease: int
    billed: int | None = None
    turned_away: bool = False


class Bill(RuleBasedStateMachine):
    """Four calls under one cap. The far side bills up to what was held, and says so, or not, or late."""

    def __init__(self) -> None:
        super().__init__()
        self.sql = SqliteSql(sqlite3.connect(":memory:", isolation_level=None))
        self.now, self.fence = 1_000, 1
        self.tries: dict[tuple[int, int], Try] = {}

    @initialize()
    def begin(self) -> None:
        migrate(self.sql, sqlite.dialect())
        runs.open_run(
            self.sql, RUN, loop=LOOP, slot="s", flow_run="f", definition="d",
            budgets=(Budget(BUDGET, RUN, CAP),), now=1,
        )  # fmt: skip
        found = (short_id("i", LOOP, "a", RUN), Finding("a", "fix a", ""))
        (row,) = runs.found(
            self.sql, RUN, (found,), definition="d", budgets=(), state=None, summary="", now=2
        )
        self.item = row.item
        self.another_life()

    @rule()
    def another_life(self) -> None:
        """A process died without a word, or was refused for good and is taken up again."""
        taken = items.claim(
            self.sql, self.item, flow_run="w", now=self.now, lease=self.now + 50, max_lives=10**6
        )
        assert isinstance(taken, items.Taken)
        self.fence = taken.item.fence

    @rule(step=st.integers(0, 3), worst=st.integers(0, 60), lease=st.integers(5, 100))
    def reserve(self, step: int, worst: int, lease: int) -> None:
        self.now += 1
        intent = Intent(
            place=self._place(step), kind="model", name="m", principal=BY, rule="r",
            head=digest(""), args={}, fence=self.fence, now=self.now, send_by=self.now + 5,
            lease=self.now + lease, repeatable=True, charges=(Charge(BUDGET, RUN, worst),),
            most=Amounts(usd=worst),
        )  # fmt: skip
        room = CAP - self._column("spent") - self._column("unknown") - self._column("held")
        self.sql.run("SAVEPOINT s")
        try:
            got = effects.intend(self.sql, intent, ARGS)
        except StoreError:
            self.sql.run("ROLLBACK TO s")
            got = None
        self.sql.run("RELEASE s")
        if isinstance(got, Admitted):
            assert worst <= room, "it was let in without room"
            self.tries[step, got.attempt] = Try(worst, self.now + lease)

    @precondition(lambda self: self._pending())
    @rule(pick=st.data(), share=st.integers(0, 100))
    def the_far_side_bills(self, pick: st.DataObject, share: int) -> None:
        one = self.tries[pick.draw(st.sampled_from(self._pending()))]
        one.billed = one.held * share // 100

    @precondition(lambda self: self._billed())
    @rule(pick=st.data())
    def settle(self, pick: st.DataObject) -> None:
        """Its answer comes, perhaps long after somebody gave it up."""
        step, attempt = pick.draw(st.sampled_from(self._billed()))
        self.now += 1
        paid = self.tries[step, attempt].billed or 0
        settlement = Settlement(self.now, {}, paid, "priced", {}, paid=Amounts(usd=paid))
        settling.done(self.sql, self._place(step), attempt, settlement, ARGS)
        assert self._charge(step, attempt) == ("spent", paid)

    @precondition(lambda self: self._pending())
    @rule(pick=st.data())
    def release(self, pick: st.DataObject) -> None:
        """It surely was not begun."""
        step, attempt = pick.draw(st.sampled_from(self._pending()))
        self.now += 1
        self.tries[step, attempt].turned_away = True
        self._fail(step, attempt, "failed")
        assert self._charge(step, attempt)[0] == "freed"

    @precondition(lambda self: self.tries)
    @rule(pick=st.data())
    def doubt(self, pick: st.DataObject) -> None:
        step, attempt = pick.draw(st.sampled_from(sorted(self.tries)))
        self.now += 1
        self._fail(step, attempt, "unknown")

    @rule(later=st.integers(0, 120))
    def sweep(self, later: int) -> None:
        self.now += later
        housekeeping.sweep(self.sql, self.now)
        past = [place for place, one in self.tries.items() if one.lease < self.now]
        assert "held" not in {self._charge(*place)[0] for place in past}

    @invariant()
    def the_limit_holds(self) -> None:
        assert self._column("spent") + self._column("unknown") + self._column("held") <= CAP

    @invariant()
    def the_bill_is_within_what_we_say_of_it(self) -> None:
        bill = sum(one.billed or 0 for one in self.tries.values())
        settled = self._column("spent")
        assert settled <= bill <= settled + self._column("unknown") + self._column("held")

    @invariant()
    def columns_are_the_sums_of_charges(self) -> None:
        for status in ("held", "spent", "unknown"):
            row = self.sql.one(
                "SELECT coalesce(sum(amount), 0) AS n FROM charges WHERE status = :status",
                status=status,
            ) if self.tries else {"n": 0}  # fmt: skip
            assert row is not None
            assert row["n"] == self._column(status)

    def teardown(self) -> None:
        """Once every lease is over nothing is held: the bill is within settled and unknown."""
        if self.tries:
            self.sweep(1_000)
            assert self._column("held") == 0
            self.the_bill_is_within_what_we_say_of_it()

    def _pending(self) -> list[tuple[int, int]]:
        """Tries that the far side has neither billed nor turned away."""
        return sorted(
            place for place, one in self.tries.items() if one.billed is None and not one.turned_away
        )

    def _billed(self) -> list[tuple[int, int]]:
        return sorted(place for place, one in self.tries.items() if one.billed is not None)

    def _fail(self, step: int, attempt: int, status: str) -> None:
        settling.fail(
            self.sql, self._place(step), attempt, status=status, error="e", attributes={},
            now=self.now,
        )  # fmt: skip

    def _place(self, step: int) -> Place:
        return Place(RUN, self.item, 1, "lead", step, 0)

    def _charge(self, step: int, attempt: int) -> tuple[str, int]:
        row = self.sql.one(
            "SELECT status, amount FROM charges WHERE key = :key AND attempt = :attempt",
            key=self._place(step).key, attempt=attempt,
        )  # fmt: skip
        assert row is not None
        return row["status"], row["amount"]

    def _column(self, name: str) -> int:
        if not self.sql.all("SELECT name FROM sqlite_master WHERE name = 'budgets'"):
            return 0
        row = self.sql.one("SELECT * FROM budgets WHERE budget = :budget", budget=BUDGET)
        return row[name] if row is not None else 0


TestBill = Bill.TestCase
TestBill.settings = settings(max_examples=40, stateful_step_count=40, deadline=None, database=None)
