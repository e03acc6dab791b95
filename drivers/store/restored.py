"""What may have happened after the backup that this store was restored from?

Nobody knows. So whatever was under way belongs to nobody's old process, is dispatched anew, and for each of its
effects that may not be repeated and is not done, a lost try is assumed: a person says first what became of it.
Source: docs/decisions/0024-restored-is-in-doubt.md
"""

from dataclasses import dataclass

from drivers.store import tries
from drivers.store.anew import hand_out
from drivers.store.journal import Asked, note_intent
from drivers.store.pages import note
from drivers.store.sql import Row, Sql
from drivers.store.tries import End
from governance.effects import Intent
from governance.errors import StoreError

FENCES_AHEAD = 1_000_000
"""Fences were given after the backup, too; the next one must be above every one of them."""


@dataclass(frozen=True)
class Marked:
    """What was under way when the backup was taken."""

    epoch: int
    """How often this store was restored."""
    items: tuple[str, ...]
    runs: tuple[str, ...]
    """Heartbeats that had found nothing yet; they ended with the restore."""


def mark(sql: Sql, *, taken_at: int, by: str, now: int) -> Marked:
    """The store goes on from its backup: in one transaction, audited."""
    row = sql.one("SELECT coalesce(max(epoch), 0) + 1 AS epoch FROM restores")
    if row is None:
        raise StoreError("the table 'restores' cannot be read; nothing was restored.")
    epoch: int = row["epoch"]
    sql.run(
        "INSERT INTO restores (epoch, taken_at, restored_at, said_by)"
        " VALUES (:epoch, :taken_at, :now, :by)",
        epoch=epoch, taken_at=taken_at, now=now, by=by,
    )  # fmt: skip
    items = sql.all("SELECT * FROM items WHERE status NOT IN ('done', 'stopped') ORDER BY item")
    for item in items:
        _mark_item(sql, item, epoch, now)
    runs = sql.all("SELECT run FROM runs WHERE status = 'open' AND found_at IS NULL ORDER BY run")
    sql.run(
        "UPDATE runs SET status = 'closed', closed_at = :now, stop_reason = 'cancelled',"
        " stop_detail = 'it was under way when the backup was taken, and the store was restored'"
        " WHERE status = 'open' AND found_at IS NULL",
        now=now,
    )  # fmt: skip
    note(
        sql, who=by, what="store restored", subject=f"epoch {epoch}", detail=str(taken_at), now=now
    )
    return Marked(epoch, tuple(i["item"] for i in items), tuple(r["run"] for r in runs))


def assume(sql: Sql, intent: Intent, asked: Asked, last: Row | None) -> Row | None:
    """The newest try of an effect that may not be repeated; in a restored item a lost one is assumed, once."""
    if intent.repeatable or (last is not None and last["status"] != "failed"):
        return last
    found = sql.one("SELECT epoch FROM restored WHERE item = :item", item=intent.place.owner)
    if found is None or _assumed(sql, intent.place.key, found["epoch"]):
        return last
    attempt = last["attempt"] + 1 if last is not None else 1
    note_intent(sql, asked, rule=intent.rule, attempt=attempt, now=intent.now)
    tries.open_try(sql, intent, attempt)
    row = tries.one_try(sql, intent.place.key, attempt)
    assert row is not None
    tries.lose_try(sql, row, End("unknown", intent.now, _error(found["epoch"]), _told(sql, found)))
    return tries.one_try(sql, intent.place.key, attempt)


def _mark_item(sql: Sql, item: Row, epoch: int, now: int) -> None:
    sql.run(
        "INSERT INTO restored (item, epoch) VALUES (:item, :epoch)"
        " ON CONFLICT (item) DO UPDATE SET epoch = :epoch",
        item=item["item"], epoch=epoch,
    )  # fmt: skip
    if item["status"] == "kept_back":
        # It may have been let go since. Whoever took it up then starts nothing more, and a person is asked again.
        sql.run(
            "UPDATE items SET fence = fence + :ahead WHERE item = :item",
            ahead=FENCES_AHEAD, item=item["item"],
        )  # fmt: skip
        return
    # The flow run it had may be gone, over, or asleep under a form that this store knows nothing of.
    key = f"{item['loop']}-{item['item']}-restored-{epoch}"
    hand_out(sql, item, key, ahead=FENCES_AHEAD, now=now)


def _assumed(sql: Sql, key: str, epoch: int) -> bool:
    row = sql.one(
        "SELECT 1 FROM ledger WHERE key = :key AND error = :error", key=key, error=_error(epoch)
    )
    return row is not None


def _error(epoch: int) -> str:
    return f"restored-{epoch}"


def _told(sql: Sql, found: Row) -> dict[str, object]:
    row = sql.one("SELECT taken_at FROM restores WHERE epoch = :epoch", epoch=found["epoch"])
    assert row is not None
    return {
        "error.message": "this store was restored from a backup, and what was done after it was taken is "
        "not on record",
        "loop.backup_taken_at": row["taken_at"],
    }
