"""What does the store still need of the blobs, and what of itself may go?"""

import json

from drivers.store.bodies import GONE
from drivers.store.sql import Sql
from governance.parts import canonical
from governance.upkeep import Forgotten, InUse

# Each column that may hold the digest of a blob: `bodies` puts values away, `state` names a manifest.
_BODIES = (
    ("journal", "args"), ("journal", "result"), ("cards", "arguments"), ("cards", "diff"),
    ("cards", "facts"), ("cards", "result"),
)  # fmt: skip
_STATES = (("journal", "state"), ("items", "state"))


def in_use(sql: Sql) -> InUse:
    """Every blob a row names: bodies, and manifests, which name blobs themselves."""
    bodies = {blob for table, column in _BODIES for blob in _named(sql, table, column)}
    states = {blob for table, column in _STATES for blob in _named(sql, table, column)}
    return InUse(frozenset(bodies), frozenset(states))


def _named(sql: Sql, table: str, column: str) -> list[str]:
    rows = sql.all(f"SELECT DISTINCT {column} AS blob FROM {table} WHERE {column} LIKE 'sha256:%'")
    return [row["blob"] for row in rows]


_CLOSED = (
    " IN (SELECT item FROM items WHERE closed_at < :before"
    " UNION ALL SELECT run FROM runs WHERE closed_at < :before)"
)


def forget(sql: Sql, before: int) -> Forgotten:
    """Drop what was said and made by items and heartbeats that ended before this moment.

    What happened stays: every key, kind, digest, verdict, answer, try, price and moment.
    """
    entries = sql.run(
        f"UPDATE journal SET args = :gone, result = NULL, state = NULL, seal = NULL WHERE args <> :gone AND owner{_CLOSED}",
        gone=GONE, before=before,
    )  # fmt: skip
    cards = sql.run(
        f"UPDATE cards SET arguments = :gone, diff = NULL, facts = NULL, result = NULL, seal = NULL WHERE arguments <> :gone AND item{_CLOSED}",
        gone=GONE, before=before,
    )  # fmt: skip
    sql.run(
        "UPDATE runs SET payload = NULL WHERE closed_at < :before AND payload IS NOT NULL",
        before=before,
    )
    items = 0
    for row in sql.all(
        "SELECT item, finding FROM items WHERE closed_at < :before AND (state IS NOT NULL"
        ' OR finding NOT LIKE \'%"brief":""%\')',
        before=before,
    ):
        finding = {**json.loads(row["finding"]), "brief": "", "source": {}}
        items += sql.run(
            "UPDATE items SET state = NULL, finding = :finding WHERE item = :item",
            finding=canonical(finding), item=row["item"],
        )  # fmt: skip
    return Forgotten(items, entries, cards)
