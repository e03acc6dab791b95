"""Which items that wait for what comes by itself can go on now?

Room in a budget, or the moment that a far side has named. Asked by housekeeping, and when a cap is raised. Whoever
waits longest comes first, and what it wants is set aside for it, so that no more are woken than there is room for. An
item that can go on by any of its waits does.
"""

from dataclasses import replace

from drivers.store import rows
from drivers.store.outbox import send
from drivers.store.room import missing
from drivers.store.short import Short
from drivers.store.sql import Row, Sql
from governance.waits import Awaited, Later, Waits


def wake(sql: Sql, now: int, *, budget: str | None = None) -> tuple[tuple[str, str], ...]:
    """Have them woken, by outbox, once for each wait: each item and why. With `budget` only those that wait for that."""
    aside: dict[tuple[str, str], int] = {}
    woken: list[tuple[str, str]] = []
    for row, waits in _waiting(sql):
        if budget is not None and budget not in waits.budgets:
            continue
        why, still = _judge(sql, row, waits, aside, now)
        if why is not None:
            if _send(sql, row):
                woken.append((row["item"], why))
        elif still != waits.of:
            spelled = rows.spelled_waits(replace(waits, of=still))
            sql.run(
                "UPDATE items SET waits = :waits WHERE item = :item",
                waits=spelled,
                item=row["item"],
            )
    return tuple(woken)


def _waiting(sql: Sql) -> list[tuple[Row, Waits]]:
    found = sql.all("SELECT * FROM items WHERE waits IS NOT NULL AND status = 'waiting'")
    waiting = [(row, waits) for row in found if (waits := rows.waits_of(row)) is not None]
    return sorted(waiting, key=lambda one: (one[1].since, one[0]["item"]))


def _judge(
    sql: Sql, row: Row, waits: Waits, aside: dict[tuple[str, str], int], now: int
) -> tuple[str | None, tuple[Awaited, ...]]:
    """Why it is woken, or what it still waits for."""
    if waits.give_up_at is not None and now >= waits.give_up_at:
        return "it has waited as long as it may", ()
    still: list[Awaited] = []
    for wait in waits.of:
        if isinstance(wait, Later):
            if now >= wait.opens:
                return f"{wait.subject} wanted to be left alone until now", ()
            still.append(wait)
            continue
        at = (wait.budget, wait.window if wait.window == row["run"] else "")
        lacks = missing(sql, wait, run=row["run"], beside=aside.get(at, 0), now=now)
        if lacks is None:
            aside[at] = aside.get(at, 0) + wait.asked
            return f"budget {wait.budget!r} has room", ()
        if isinstance(lacks, Short):
            return f"budget {wait.budget!r} has no room by itself any more", ()
        still.append(lacks)
    return None, tuple(still)


def _send(sql: Sql, row: Row) -> bool:
    names = ("item", "run", "loop", "posted_n")
    payload = {name: row[name] for name in names}
    return send(sql, "resume", f"room-{row['item']}-{row['posted_n']}", payload)
