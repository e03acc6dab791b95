"""What became of each try of an effect? One ledger row is one try, and one leaf span."""

import json
from dataclasses import dataclass, field, replace
from typing import Literal

from drivers.store import meter, money, spans, thresholds
from drivers.store.sql import Row, Sql
from governance.conversation import Usage
from governance.effects import NOT_BEFORE, Intent
from governance.errors import StoreError
from governance.parts import Json, canonical

ABANDONED = "abandoned"
"""The error of a try that its process left behind without a word."""

NO_USAGE = Usage()
_NO_USAGE_COLUMN = canonical(vars(NO_USAGE))


def open_try(sql: Sql, intent: Intent, attempt: int) -> str:
    """The row of a try that may now touch the world; its span."""
    place, by = intent.place, intent.principal
    span = spans.leaf_span(place.key, attempt)
    sql.run(
        "INSERT INTO ledger (key, attempt, run, owner, name, loop, loop_owner, team, agent, role, fence,"
        " send_by, lease, status, started_at, usage, reserved, cost_status, price, span, parent_span,"
        " trace, attributes)"
        " VALUES (:key, :attempt, :run, :owner, :name, :loop, :loop_owner, :team, :agent, :role, :fence,"
        " :send_by, :lease, 'open', :now, :usage, :reserved, 'open', :price, :span, :parent, :trace,"
        " :attributes)",
        key=place.key, attempt=attempt, run=place.run, owner=place.owner, name=intent.name,
        loop=by.loop, loop_owner=by.owner, team=by.team, agent=by.agent, role=by.role,
        fence=intent.fence, send_by=intent.send_by, lease=intent.lease, now=intent.now,
        usage=_NO_USAGE_COLUMN, reserved=intent.most.usd or 0, span=span, parent=spans.lane_span(place),
        trace=spans.trace_id(place.run), price=canonical(intent.price), attributes=canonical(intent.attributes),
    )  # fmt: skip
    return span


def one_try(sql: Sql, key: str, attempt: int) -> Row | None:
    """One try."""
    return sql.one(
        "SELECT * FROM ledger WHERE key = :key AND attempt = :attempt", key=key, attempt=attempt
    )


def last_try(sql: Sql, key: str) -> Row | None:
    """The newest try of an effect."""
    return sql.one("SELECT * FROM ledger WHERE key = :key ORDER BY attempt DESC LIMIT 1", key=key)


def not_before(row: Row) -> int:
    """The moment that the far side named with this try, before which there is no next one; 0 without one."""
    return json.loads(row["attributes"]).get(NOT_BEFORE, 0)


@dataclass(frozen=True)
class End:
    """What became of a try; without more, nobody can say what it cost."""

    status: Literal["done", "failed", "unknown", "late"]
    now: int
    error: str | None = None
    attributes: Json = field(default_factory=dict[str, object])
    """Added to those the try began with."""
    usage: Usage = NO_USAGE
    cost: int | None = None
    cost_status: str = "open"
    price: Json = field(default_factory=dict[str, object])
    """Empty leaves the one it was reserved at."""
    response_model: str | None = None
    list_cost: int | None = None


def close_try(sql: Sql, row: Row, end: End) -> None:
    """Write what became of a try, under a new settling number. The money is moved apart (`money`)."""
    if sql.run("UPDATE counters SET value = value + 1 WHERE name = 'settled'") != 1:
        raise StoreError("the counter 'settled' is gone from the store. Restore it from a backup.")
    sql.run(
        "UPDATE ledger SET seq = (SELECT value FROM counters WHERE name = 'settled'), status = :status,"
        " ended_at = :now, error = :error, attributes = :attributes, usage = :usage, cost = :cost,"
        " cost_status = :cost_status, list_cost = :list_cost, price = :price, response_model = :model"
        " WHERE key = :key AND attempt = :attempt",
        status=end.status, now=end.now, error=end.error,
        attributes=canonical({**json.loads(row["attributes"]), **end.attributes}),
        usage=canonical(vars(end.usage)), cost=end.cost, cost_status=end.cost_status,
        list_cost=end.list_cost, price=canonical(end.price or json.loads(row["price"])), model=end.response_model,
        key=row["key"], attempt=row["attempt"],
    )  # fmt: skip
    meter.count(sql, row, meter.Ended(end.status, end.cost, end.cost_status))
    if end.cost:
        thresholds.paid(sql, row["run"], row["loop"], now=end.now)


def lose_try(sql: Sql, row: Row, end: End) -> None:
    """Nobody can say what became of it: its holds count as unknown, and so does its cost."""
    money.doubt(sql, row["key"], row["attempt"], now=end.now)
    close_try(sql, row, end)


def clear_try(sql: Sql, row: Row, end: End) -> None:
    """It surely did not happen: its holds are free and it cost nothing."""
    money.release(sql, row["key"], row["attempt"])
    close_try(sql, row, replace(end, cost=0, list_cost=0, cost_status="free"))
