"""Does the money add up, whatever happens in whatever order?"""

import sqlite3
from collections import Counter
from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.dialects import sqlite

from drivers.store import effects, housekeeping, items, runs, settling
from drivers.store.bodies import Body
from drivers.store.connection import SqliteSql
from drivers.store.migrations import migrate
from drivers.store.postgres import PostgresWriter
from drivers.store.sql import Sql
from governance.charges import Amounts, Charge
from governance.effects import Admitted, InDoubt, Intent, Place, Settlement
from governance.errors import StoreError
from governance.parts import digest
from governance.records import Budget
from tests.drivers.store.story import HEAD, LEAD, LOOP, RUN, finding

ARGS = Body("{}", digest({}))
CAPS = {"run:r1:usd": 100, "run:r1:tokens": 60, "team:platform:usd": 150}
SHARE = st.integers(0, 100)


class Money(RuleBasedStateMachine):
    """Five effects, three capped budgets and one that nobody capped; processes die, come back, and report late."""

    def __init__(self) -> None:
        super().__init__()
        self.sql = self.tables()
        self.now, self.fence = 1000, 1
        self.tries: dict[tuple[int, int], tuple[Charge, ...]] = {}
        self.held_for: dict[tuple[int, int], int] = {}

    def tables(self) -> Sql:
        """Ours, with nothing in them."""
        sql = SqliteSql(sqlite3.connect(":memory:", isolation_level=None))
        migrate(sql, sqlite.dialect())
        return sql

    @initialize()
    def begin(self) -> None:
        budgets = tuple(Budget(name, RUN, cap) for name, cap in CAPS.items())
        runs.open_run(
            self.sql, RUN, loop=LOOP, slot="s", flow_run="f", definition="d", budgets=budgets, now=1
        )
        (self.item,) = (
            row.item
            for row in runs.found(
                self.sql,
                RUN,
                (finding("a"),),
                definition="d",
                budgets=(),
                state=None,
                summary="",
                now=2,
            )
        )
        self.claim()

    @rule()
    def claim(self) -> None:
        self.now += 1
        taken = items.claim(
            self.sql, self.item, flow_run="w", now=self.now, lease=self.now + 50, max_lives=10**6
        )
        assert isinstance(taken, items.Taken)
        self.fence = taken.item.fence

    @rule(
        step=st.integers(0, 4), usd=st.integers(0, 60), tokens=st.integers(0, 40),
        repeatable=st.booleans(), stale=st.booleans(), lease=st.integers(1, 100),
    )  # fmt: skip
    def intend(
        self, step: int, usd: int, tokens: int, repeatable: bool, stale: bool, lease: int
    ) -> None:
        self.now += 1
        charges = (
            Charge("run:r1:usd", RUN, usd), Charge("team:platform:usd", RUN, usd),
            Charge("run:r1:tokens", RUN, tokens), Charge("nobody:usd", RUN, usd),
        )  # fmt: skip
        intent = Intent(
            place=self._place(step), kind="tool", name="t", principal=LEAD, rule="r", head=HEAD, args={},
            fence=self.fence - stale, now=self.now, send_by=self.now + 5, lease=self.now + lease,
            repeatable=repeatable, charges=charges, most=Amounts(usd=usd),
        )  # fmt: skip
        before = self._budgets()
        self.sql.run("SAVEPOINT s")
        try:
            got = effects.intend(self.sql, intent, ARGS)
        except StoreError:
            self.sql.run("ROLLBACK TO s")
            got = None
        self.sql.run("RELEASE s")
        if isinstance(got, Admitted):
            assert not stale
            self.tries[step, got.attempt] = charges
        elif not isinstance(got, InDoubt):
            for name, (held, spent, unknown) in self._budgets().items():
                assert spent == before[name][1]
                assert held + unknown == before[name][0] + before[name][2]

    @precondition(lambda self: self.tries)
    @rule(pick=st.data(), usd=SHARE, tokens=SHARE)
    def done(self, pick: st.DataObject, usd: int, tokens: int) -> None:
        step, attempt = pick.draw(st.sampled_from(sorted(self.tries)))
        if self._status(step, attempt) == "failed":
            return
        self.now += 1
        share = {"usd": usd, "tokens": tokens}
        held = {c.unit: c.amount or 0 for c in self.tries[step, attempt]}
        paid = Amounts(**{unit: held[unit] * share[unit] // 100 for unit in held})
        settlement = Settlement(self.now, {}, paid.usd, "priced", {}, paid=paid)
        settling.done(self.sql, self._place(step), attempt, settlement, ARGS)

    @precondition(lambda self: self.tries)
    @rule(pick=st.data(), status=st.sampled_from(["failed", "unknown"]))
    def fail(self, pick: st.DataObject, status: str) -> None:
        step, attempt = pick.draw(st.sampled_from(sorted(self.tries)))
        self.now += 1
        settling.fail(
            self.sql,
            self._place(step),
            attempt,
            status=status,
            error="e",
            attributes={},
            now=self.now,
        )

    @rule(later=st.integers(0, 120))
    def sweep(self, later: int) -> None:
        self.now += later
        housekeeping.sweep(self.sql, self.now)

    @invariant()
    def no_budget_is_overshot(self) -> None:
        for name, (held, spent, unknown) in self._budgets().items():
            assert min(held, spent, unknown) >= 0
            assert held + spent + unknown <= CAPS[name]

    @invariant()
    def a_budget_is_the_sum_of_its_charges(self) -> None:
        sums: Counter[tuple[str, str]] = Counter()
        for row in self._all(
            "SELECT budget, status, sum(amount) AS n FROM charges GROUP BY budget, status"
        ):
            sums[row["budget"], row["status"]] = row["n"]
        for name, (held, spent, unknown) in self._budgets().items():
            assert (held, spent, unknown) == (
                sums[name, "held"],
                sums[name, "spent"],
                sums[name, "unknown"],
            )

    @invariant()
    def the_ledger_costs_what_was_spent(self) -> None:
        (row,) = self._all("SELECT coalesce(sum(cost), 0) AS cost FROM ledger") or ({"cost": 0},)
        if self._budgets():
            assert (
                row["cost"]
                == self._budgets()["run:r1:usd"][1]
                == self._budgets()["team:platform:usd"][1]
            )

    @invariant()
    def holds_are_those_of_open_tries_and_every_effect_is_done_once(self) -> None:
        pairs = self._all(
            "SELECT DISTINCT l.status AS tried, c.status AS charged FROM ledger l"
            " JOIN charges c ON c.key = l.key AND c.attempt = l.attempt"
        )
        allowed = {
            ("open", "held"), ("unknown", "unknown"), ("failed", "freed"), ("done", "spent"), ("late", "spent"),
        }  # fmt: skip
        assert {(row["tried"], row["charged"]) for row in pairs} <= allowed
        doubled = self._all(
            "SELECT key FROM ledger WHERE status = 'done' GROUP BY key HAVING count(*) > 1"
        )
        assert not doubled
        unsettled = self._all(
            "SELECT l.key FROM ledger l JOIN journal j ON j.key = l.key"
            " WHERE l.status IN ('done', 'late') AND j.status <> 'done'"
        )
        assert not unsettled

    @invariant()
    def settling_numbers_are_given_once_and_only_to_what_was_settled(self) -> None:
        rows = self._all("SELECT seq, status FROM ledger")
        numbers = [row["seq"] for row in rows if row["seq"] is not None]
        assert len(numbers) == len(set(numbers))
        assert all((row["seq"] is None) == (row["status"] == "open") for row in rows)

    def _place(self, step: int) -> Place:
        return Place(RUN, self.item, 1, "lead", step, 0)

    def _status(self, step: int, attempt: int) -> str:
        row = self.sql.one(
            "SELECT status FROM ledger WHERE key = :key AND attempt = :attempt",
            key=self._place(step).key, attempt=attempt,
        )  # fmt: skip
        assert row is not None
        return row["status"]

    def _budgets(self) -> dict[str, tuple[int, int, int]]:
        rows = self._all("SELECT * FROM budgets")
        return {row["budget"]: (row["held"], row["spent"], row["unknown"]) for row in rows}

    def _all(self, statement: str):
        return self.sql.all(statement)


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_money_adds_up_on_postgres_too(used_again: str) -> None:
    writer = PostgresWriter(used_again, 20.0)
    undone = ExitStack()

    class MoneyOnPostgres(Money):
        def tables(self) -> Sql:
            undone.close()
            writer.connect()
            writer.run("BEGIN")
            undone.callback(writer.run, "ROLLBACK")
            return writer

    try:
        # As many interleavings as seconds allow: a statement is a thousand times what it is in memory.
        few = settings(max_examples=15, stateful_step_count=30, deadline=None, database=None)
        run_state_machine_as_test(MoneyOnPostgres, settings=few)
    finally:
        undone.close()
        writer.close()


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, database=None)
