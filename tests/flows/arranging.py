"""How a test arranges the far side, and when items may begin."""

import sqlite3

from demo.prefect_api import PrefectApi
from demo.world import POOL, DemoWorld

ITEMS = "work"
"""The pool's queue of items, as `loops render` names it."""


def file_tickets(world: DemoWorld, many: int) -> None:
    """So many tickets, and no other, are new at the far side."""
    with sqlite3.connect(world.repository.parent / "forge.db", timeout=30) as db:
        db.execute("UPDATE tickets SET state = 'closed'")
        db.executemany(
            "INSERT INTO tickets VALUES (?, ?, ?, ?, 'new', '[]')",
            [(f"NW-{n}", f"Parcel {n} is late", "nobody came", "lena") for n in range(500, 500 + many)],
        )  # fmt: skip
    db.close()


def hold_items(api: PrefectApi) -> None:
    """Items are found and dispatched; none is begun, and none goes on."""
    api.pause_queue(POOL, ITEMS, paused=True)


def let_items_go(api: PrefectApi) -> None:
    """They begin as the pool has places."""
    api.pause_queue(POOL, ITEMS, paused=False)
