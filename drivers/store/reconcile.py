"""Which calls does a day's bill have to pay for, and what becomes of those it resolves?

What is compared is read on a snapshot; what comes of it is written in one transaction for each model and stretch of
days, if nothing of that stretch has changed meanwhile. Doing it twice changes nothing.
"""

import json

from drivers.store import money
from drivers.store.outbox import send
from drivers.store.pages import note
from drivers.store.sql import Row, Sql
from drivers.store.tries import End, clear_try, close_try, one_try
from governance.bill import Meters, model_named
from governance.charges import Amounts
from governance.conversation import Usage
from governance.parts import DAY_MS, Json, canonical, digest
from governance.reconcile import Compared, Share
from governance.tried import CLOCKS_MS, Observed, Tried

LONGEST_MS = DAY_MS
"""A model call that takes longer than a day is not looked for on another day's bill."""


def observed(sql: Sql, since: int, until: int) -> Observed:
    """Every try of a model call that may stand on the bill of these days (Unix milliseconds, from and to)."""
    counter = sql.one("SELECT value FROM counters WHERE name = 'settled'")
    found = sql.all(
        "SELECT l.* FROM ledger l JOIN journal j ON j.key = l.key"
        " WHERE j.kind = 'model' AND l.started_at >= :since AND l.started_at < :until"
        " AND l.status <> 'failed' ORDER BY l.started_at, l.key, l.attempt",
        since=since - LONGEST_MS, until=until + CLOCKS_MS,
    )  # fmt: skip
    tries = (_tried(sql, row) for row in found)
    seen = counter["value"] if counter is not None else 0
    return Observed(seen, tuple(t for t in tries if t.until + CLOCKS_MS >= since))


def oldest_unknown(sql: Sql) -> int | None:
    """When the oldest model call began whose cost nobody knows."""
    row = sql.one(
        "SELECT min(l.started_at) AS began FROM ledger l JOIN journal j ON j.key = l.key"
        " WHERE j.kind = 'model' AND l.status = 'unknown'"
    )
    return None if row is None else row["began"]


def reconcile(sql: Sql, found: Compared, seen: int, *, source: str, by: str, now: int) -> bool:
    """Write what was found: money, ledger, audit, and one notice of what nothing explains.

    False, and nothing is written, when a call of these days was settled after `seen`: compare again.
    """
    if _changed(sql, found, seen):
        return False
    rows = [one_try(sql, share.key, share.attempt) for share in found.shares]
    if any(row is None or row["status"] != "unknown" for row in rows):
        return False
    for share, row in zip(found.shares, rows, strict=True):
        assert row is not None
        _resolve(sql, row, share, found, source, now)
    _note(sql, found, source=source, by=by, now=now)
    return True


def _changed(sql: Sql, found: Compared, seen: int) -> bool:
    """Whether a call of these days was settled since. What this look resolved before is of another model or days."""
    later = sql.all(
        "SELECT l.* FROM ledger l JOIN journal j ON j.key = l.key"
        " WHERE l.seq > :seen AND j.kind = 'model'",
        seen=seen,
    )
    return any(model_named(_model(row)) == found.model and _on(sql, row, found) for row in later)


def _on(sql: Sql, row: Row, found: Compared) -> bool:
    days = _tried(sql, row).days
    return days[0] <= found.days[1] and days[1] >= found.days[0]


def _resolve(sql: Sql, row: Row, share: Share, found: Compared, source: str, now: int) -> None:
    told: Json = {
        "loop.reconciled": "/".join(day.isoformat() for day in found.days),
        "loop.reconciled.at": now,
        "loop.reconciled.by": source,
        "loop.reconciled.together": share.together,
    }
    if not share.billed:
        clear_try(sql, row, End("failed", row["ended_at"], row["error"], told))
        return
    paid = Amounts(share.cost, share.meters.total, steps=1, calls=1)
    money.settle(sql, share.key, share.attempt, paid, now=now)
    close_try(
        sql, row,
        End(
            "late", row["ended_at"], row["error"], told, usage=share.meters.usage, cost=share.cost,
            cost_status="priced", price=found.price, response_model=row["response_model"],
        ),
    )  # fmt: skip


def _note(sql: Sql, found: Compared, *, source: str, by: str, now: int) -> None:
    """On record once: the same finding again is no line of the audit and no notice."""
    first, last = (day.isoformat() for day in found.days)
    told = canonical(
        {
            "source": source, "why": found.why,
            "billed_usd": found.billed.usd, "settled_usd": found.settled_usd + found.resolved_usd,
            "off_usd": found.off_usd, "resolved": len(found.shares),
            "billed": _json(found.billed.tokens), "off": _json(found.off),
        }
    )  # fmt: skip
    before = sql.one(
        "SELECT state, told FROM reconciled"
        " WHERE model = :model AND first_day = :first AND last_day = :last",
        model=found.model, first=first, last=last,
    )  # fmt: skip
    if before is not None and _same(found, before, told):
        return
    sql.run(
        "INSERT INTO reconciled (model, first_day, last_day, state, told, at, said_by)"
        " VALUES (:model, :first, :last, :state, :told, :now, :by)"
        " ON CONFLICT (model, first_day, last_day) DO UPDATE SET"
        " state = :state, told = :told, at = :now, said_by = :by",
        model=found.model, first=first, last=last, state=found.state, told=told, now=now, by=by,
    )  # fmt: skip
    subject = f"{found.model} {first}" + (f" to {last}" if last != first else "")
    note(sql, who=by, what=f"bill {found.state}", subject=subject, detail=told, now=now)
    if found.state == "unexplained":
        notice = {"kind": "bill", "subject": subject, "told": told}
        send(sql, "notice", f"bill-{digest([found.model, first, last])[7:19]}", notice)


def _same(found: Compared, before: Row, told: str) -> bool:
    if found.shares or before["state"] != found.state:
        return False
    return found.state == "equal" or before["told"] == told


def _json(meters: Meters | None) -> Json | None:
    return None if meters is None else meters.as_json


def _held(sql: Sql, key: str, attempt: int) -> list[Row]:
    return list(
        sql.all(
            "SELECT * FROM charges WHERE key = :key AND attempt = :attempt ORDER BY budget, period",
            key=key, attempt=attempt,
        )
    )  # fmt: skip


def _asked(row: Row) -> str:
    found: str = json.loads(row["attributes"]).get("gen_ai.request.model") or row["name"]
    return found


def _model(row: Row) -> str:
    return row["response_model"] or _asked(row)


def _tried(sql: Sql, row: Row) -> Tried:
    """A row as its bill sees it. What was resolved before lived until its lease, whenever that was written."""
    kept = row["status"] in ("done", "late") and "loop.reconciled" not in row["attributes"]
    unknown = row["status"] == "unknown"
    ended = row["ended_at"] if kept else row["lease"]
    tokens = [
        r["amount"] for r in (_held(sql, row["key"], row["attempt"]) if unknown else [])
        if r["budget"].endswith(":tokens")
    ]  # fmt: skip
    return Tried(
        key=row["key"], attempt=row["attempt"], model=model_named(_model(row)), asked=_asked(row),
        status="open" if row["status"] == "open" else "unknown" if unknown else "settled",
        began=row["started_at"], until=max(row["started_at"], ended),
        meters=Meters.of(Usage(**json.loads(row["usage"]))), cost=row["cost"],
        held=row["reserved"], held_tokens=max(tokens, default=None),
    )  # fmt: skip
