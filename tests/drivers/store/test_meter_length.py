"""Does a reading of the meter take no longer, however long the ledger is?"""

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from drivers.store import meter
from drivers.store.connection import SqliteSql
from governance.charges import Amounts, Charge
from governance.parts import DAY_MS
from tests.drivers.store.story import RUN, Story, settled
from tests.drivers.store.test_meter import RULES

LONG = "ledger|journal|budgets|b|n|charges|meter|runs|r|items"
"""Tables that grow for ever, and how statements call them."""
PARTIAL = ("ledger_open", "runs_open", "items_waits")
"""Indexes of the rows that are open, or wait: to go over one of them is to go over what is under way."""


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
async def test_no_part_of_a_reading_goes_over_a_whole_table(story: Story, tmp_path: Path) -> None:
    """Asked of the planner, statement by statement."""
    await story.store.put_rules(RULES, (), by="noor", now=1)
    seen: list[tuple[str, dict[str, Any]]] = []
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as db:

        class Explained(SqliteSql):
            def all(self, statement: str, /, **values: Any) -> Any:
                seen.append((statement, values))
                return super().all(statement, **values)

        meter.reading(Explained(db), now=4000)
        meter.run_reading(Explained(db), RUN, now=4000)
        plans = [
            (row["detail"], statement)
            for statement, values in seen
            for row in SqliteSql(db).all(f"EXPLAIN QUERY PLAN {statement}", **values)
        ]
    db.close()
    assert len(seen) >= 5 + len(RULES)
    over = [
        plan for plan in plans
        if re.match(rf"SCAN ({LONG})\b", plan[0]) and not plan[0].endswith(PARTIAL)
    ]  # fmt: skip
    assert over == []


@pytest.mark.slow
@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
async def test_at_three_hundred_thousand_tries_a_reading_takes_no_longer(
    story: Story, tmp_path: Path
) -> None:
    first = await story.admit(0, Charge("x:usd", RUN, 1), most=Amounts(usd=5))
    await story.store.done(story.place(0), first.attempt, settled(cost=5))

    async def best() -> float:
        took: list[float] = []
        for _ in range(5):
            began = time.perf_counter()
            assert (await story.store.meter(now=DAY_MS - 1)).total.settled == 5
            took.append(time.perf_counter() - began)
        return min(took)

    small = await best()
    with sqlite3.connect(tmp_path / "store.db") as db:
        columns = [r[1] for r in db.execute("PRAGMA table_info(ledger)")]
        made = {
            "key": "'k' || n",
            "seq": "n + 10",
            "span": "'s' || n",
            "started_at": "-n",
            "ended_at": "-n",
        }
        said = ", ".join(made.get(c, c) for c in columns)
        db.execute(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 300000)"
            f" INSERT INTO ledger ({', '.join(columns)}) SELECT {said} FROM ledger, c WHERE attempt = 1"
        )
        db.execute("UPDATE counters SET value = 300010 WHERE name = 'settled'")
    db.close()
    assert await best() < small + 0.1


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
async def test_a_month_is_added_up_by_the_database_and_only_runs_come_one_by_one(
    story: Story, tmp_path: Path
) -> None:
    """A row for each run, and one for each agent and model of a loop, however many calls they made on however many days."""
    days, runs, agents = 30, 200, ("lead", "maker", "checker")
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as db:
        db.execute("BEGIN")
        for n in range(runs):
            for agent in agents:
                for model in ("claude", ""):
                    db.execute(
                        "INSERT INTO meter VALUES (?, ?, ?, ?, 'triage', 'noor', 'platform', 9, 5, 0, 1)",
                        (n % days, f"r{n}", agent, model),
                    )
        db.execute("COMMIT")
        came: list[int] = []

        class Counted(SqliteSql):
            def all(self, statement: str, /, **values: Any) -> Any:
                found = super().all(statement, **values)
                came.append(len(found))
                return found

        reading = meter.reading(Counted(db), days=days, now=days * DAY_MS - 1)
    db.close()
    assert reading.total.settled == runs * len(agents) * 2 * 5
    assert len(dict(reading.by("run"))) == runs
    assert sum(came) <= runs + len(agents) * 2 + 10
