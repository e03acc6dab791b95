"""What still has to be told to somebody outside?

A row is written with what it tells about, in one transaction; sending it comes after and may happen twice.
"""

from drivers.store import rows
from drivers.store.sql import Sql
from governance.errors import StoreError
from governance.parts import Json, canonical
from governance.records import Outgoing, OutgoingKind


def send(sql: Sql, kind: OutgoingKind, key: str, payload: Json) -> bool:
    """To be sent, once per kind and key; False when it was noted before."""
    new = sql.run(
        "INSERT INTO outbox (kind, key, payload) VALUES (:kind, :key, :payload)"
        " ON CONFLICT (kind, key) DO NOTHING",
        kind=kind, key=key, payload=canonical(payload),
    )  # fmt: skip
    return new == 1


def unsent(sql: Sql, limit: int = 100) -> tuple[Outgoing, ...]:
    """What is to be sent, oldest first."""
    found = sql.all(
        "SELECT * FROM outbox WHERE sent_at IS NULL ORDER BY seq LIMIT :limit", limit=limit
    )
    return tuple(rows.outgoing(row) for row in found)


def sent(sql: Sql, kind: str, key: str, *, now: int, flow_run: str | None = None) -> None:
    """It went out; a dispatched item learns its flow run, unless it has one."""
    row = sql.one("SELECT * FROM outbox WHERE kind = :kind AND key = :key", kind=kind, key=key)
    if row is None:
        raise StoreError(f"the outbox has no {kind} {key!r}.")
    sql.run(
        "UPDATE outbox SET sent_at = :now WHERE seq = :seq AND sent_at IS NULL",
        now=now, seq=row["seq"],
    )  # fmt: skip
    if kind == "dispatch" and flow_run is not None:
        sql.run(
            "UPDATE items SET flow_run = :flow_run WHERE item = :item AND flow_run IS NULL",
            flow_run=flow_run, item=rows.outgoing(row).payload["item"],
        )  # fmt: skip
