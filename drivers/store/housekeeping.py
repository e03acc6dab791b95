"""What has nobody come back for (T10)?"""

from drivers.store.people import expire, expired_cards
from drivers.store.raises import expire as expire_raises
from drivers.store.sql import Sql
from drivers.store.tries import ABANDONED, End, lose_try
from drivers.store.waking import wake


def sweep(sql: Sql, now: int) -> tuple[str, ...]:
    """Tries past their lease are unknown, cards past their deadline have their declared answer, raises are over; then
    what waits for room and has some is woken. A line each.
    """
    said: list[str] = []
    for row in sql.all(
        "SELECT * FROM ledger WHERE status = 'open' AND lease < :now ORDER BY lease", now=now
    ):
        lose_try(sql, row, End("unknown", now, error=ABANDONED))
        late = (now - row["lease"]) / 1000
        said.append(
            f"effect {row['key']!r} try {row['attempt']:,} is unknown: its lease ended {late:,.0f} s ago"
        )
    for row in expired_cards(sql, now):
        answered = expire(sql, row, now=now)
        said.append(
            f"card {row['card']!r} for {row['tool']!r} counts as {answered['answer']!r}: "
            "nobody answered before its deadline"
        )
    said += expire_raises(sql, now)
    return (*said, *(f"item {item!r} goes on: {why}" for item, why in wake(sql, now)))
