"""What would it have cost by the prices we know now?

Beside the ledger and never over it: a rerate is a name, who asked for it and why, and a row for every try that was
priced anew. Budgets stay as they were charged.
"""

import json
from collections.abc import Sequence

from drivers.store.pages import note
from drivers.store.sql import Sql
from governance.errors import StoreError
from governance.parts import canonical
from governance.upkeep import Rerated


def begin(sql: Sql, *, by: str, why: str, about: str, now: int) -> str:
    """The name of a new rerate, audited; they are numbered."""
    row = sql.one("SELECT count(*) AS n FROM rerates")
    rerate = f"rerate-{(row['n'] if row else 0) + 1}"
    sql.run(
        "INSERT INTO rerates (rerate, at, said_by, why) VALUES (:rerate, :now, :by, :why)",
        rerate=rerate, now=now, by=by, why=why,
    )  # fmt: skip
    note(sql, who=by, what="ledger priced anew", subject=rerate, detail=f"{about}: {why}", now=now)
    return rerate


def put(sql: Sql, rerate: str, rows: Sequence[Rerated]) -> None:
    """A portion of a rerate. Raises `StoreError` for one that was never begun."""
    if sql.one("SELECT rerate FROM rerates WHERE rerate = :rerate", rerate=rerate) is None:
        raise StoreError(f"there is no {rerate!r}. Begin it first.")
    for row in rows:
        sql.run(
            "INSERT INTO rerated (rerate, key, attempt, cost, list_cost, cost_status, price)"
            " VALUES (:rerate, :key, :attempt, :cost, :list_cost, :status, :price)",
            rerate=rerate, key=row.key, attempt=row.attempt, cost=row.cost, list_cost=row.list_cost,
            status=row.cost_status, price=canonical(row.price),
        )  # fmt: skip


def end(sql: Sql, rerate: str, *, now: int) -> None:
    """It is whole."""
    sql.run("UPDATE rerates SET done_at = :now WHERE rerate = :rerate", rerate=rerate, now=now)


def rerated(sql: Sql, rerate: str) -> tuple[Rerated, ...]:
    """All rows of a rerate. Raises `StoreError` for one that is not whole: whoever made it was interrupted."""
    if sql.one("SELECT 1 FROM rerates WHERE rerate = :r AND done_at IS NOT NULL", r=rerate) is None:
        raise StoreError(
            f"there is no {rerate!r}, or it was never finished. Make another with `loops rerate`."
        )
    found = sql.all(
        "SELECT * FROM rerated WHERE rerate = :rerate ORDER BY key, attempt", rerate=rerate
    )
    return tuple(
        Rerated(
            row["key"], row["attempt"], row["cost"], row["list_cost"], row["cost_status"],
            json.loads(row["price"]),
        )
        for row in found
    )  # fmt: skip
