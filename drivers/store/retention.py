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


MOST_OWNERS = 500
MOST_ENTRIES = 2_000
"""A portion ends with the item that passes this: others who write wait for milliseconds, not for a year's rows."""


def forget(sql: Sql, before: int) -> Forgotten:
    """Drop what was said and made by a portion of what ended before this moment; nothing is left when it drops none.

    What happened stays: every key, kind, digest, verdict, answer, try, price and moment. Each item or heartbeat goes
    as a whole, and is noted as gone with it.
    """
    gone = Forgotten()
    owners = sql.all(
        # Unsorted: no portion looks at more than it takes.
        "SELECT item AS owner, 0 AS heartbeat FROM items WHERE forgotten IS NULL AND closed_at < :before"
        " UNION ALL"
        " SELECT run AS owner, 1 AS heartbeat FROM runs WHERE forgotten IS NULL AND closed_at < :before"
        " LIMIT :most",
        before=before, most=MOST_OWNERS,
    )  # fmt: skip
    for row in owners:
        gone += (
            _heartbeat(sql, row["owner"], before)
            if row["heartbeat"]
            else _item(sql, row["owner"], before)
        )
        if gone.entries >= MOST_ENTRIES:
            break
    return gone


def _item(sql: Sql, item: str, before: int) -> Forgotten:
    row = sql.one("SELECT finding FROM items WHERE item = :item", item=item)
    assert row is not None
    finding = {**json.loads(row["finding"]), "brief": "", "source": {}}
    sql.run(
        "UPDATE items SET state = NULL, finding = :finding, forgotten = :before WHERE item = :item",
        finding=canonical(finding), before=before, item=item,
    )  # fmt: skip
    cards = sql.run(
        "UPDATE cards SET arguments = :gone, diff = NULL, facts = NULL, result = NULL, seal = NULL"
        " WHERE item = :item AND arguments <> :gone",
        gone=GONE, item=item,
    )  # fmt: skip
    return Forgotten(items=1, entries=_entries(sql, item), cards=cards)


def _heartbeat(sql: Sql, run: str, before: int) -> Forgotten:
    sql.run(
        "UPDATE runs SET payload = NULL, forgotten = :before WHERE run = :run",
        before=before,
        run=run,
    )
    return Forgotten(heartbeats=1, entries=_entries(sql, run))


def _entries(sql: Sql, owner: str) -> int:
    return sql.run(
        "UPDATE journal SET args = :gone, result = NULL, state = NULL, seal = NULL"
        " WHERE owner = :owner AND args <> :gone",
        gone=GONE, owner=owner,
    )  # fmt: skip
