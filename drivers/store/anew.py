"""How does an open item come to a flow run once more, when the one it had is not to be gone on with?"""

import json

from drivers.store.outbox import send
from drivers.store.sql import Row, Sql


def hand_out(sql: Sql, item: Row, key: str, *, ahead: int, now: int) -> None:
    """Dispatch it under `key`. Whoever lived before holds a fence that is `ahead` behind, and starts nothing more."""
    sql.run(
        "UPDATE items SET status = 'found', flow_run = NULL, posted_key = NULL, life = 0,"
        " life_at = NULL, lease = NULL, waits = NULL, fence = fence + :ahead WHERE item = :item",
        ahead=ahead, item=item["item"],
    )  # fmt: skip
    sql.run(
        "UPDATE outbox SET sent_at = :now WHERE kind = 'dispatch' AND sent_at IS NULL"
        " AND key LIKE :before",
        now=now, before=f"{item['loop']}-{item['item']}-%",
    )  # fmt: skip
    title = json.loads(item["finding"])["title"]
    payload = {"loop": item["loop"], "item": item["item"], "run": item["run"], "title": title}
    send(sql, "dispatch", key, payload)
