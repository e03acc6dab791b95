"""An effect was started and nobody can say whether it happened: may it start again?

Only a person can say, on a card of its own per lost try: it happened, and counts as done; it did not, and starts
once more; or neither, and the item ends.
"""

import json
from datetime import UTC, datetime

from drivers.store.bodies import Body
from drivers.store.journal import Done, Result, done_row, note_done, note_doubt
from drivers.store.outbox import send
from drivers.store.sql import Row, Sql
from drivers.store.tries import ABANDONED, End, close_try
from governance.effects import InDoubt, Intent, Refused, Stop
from governance.parts import canonical, short_id

VOUCHED = ("vouched", "untrusted")
"""Labels of a result that a person gave in place of the far side."""


def resolve(sql: Sql, intent: Intent, args: Body, lost: Row) -> InDoubt | Refused | Done | None:
    """None when a person let it start again; else the card that waits, their word, or their refusal."""
    key, attempt = intent.place.key, lost["attempt"]
    name = short_id("c", intent.place.owner, "in_doubt", key, str(attempt))
    card = sql.one("SELECT * FROM cards WHERE card = :card", card=name)
    if card is None:
        _ask(sql, name, intent, args, lost)
    if card is None or card["answer"] is None:
        return InDoubt(name)
    if card["answer"] not in ("happened", "not-happened"):
        said = f": {card['reason']}" if card["reason"] else ""
        detail = (
            f"{intent.name!r} may have happened (try {attempt:,}), and {card['answered_by']!r} "
            f"abandoned it{said}"
        )
        return Refused(Stop("in_doubt", detail))
    sql.run("UPDATE cards SET used_by = :key WHERE card = :card", key=key, card=name)
    return _vouch(sql, intent, card, lost) if card["answer"] == "happened" else None


def _vouch(sql: Sql, intent: Intent, card: Row, lost: Row) -> Done:
    """It counts as done by a person's word; what it cost is settled only where that is nothing."""
    result = Result(Body.held(card["result"]), intent.head, VOUCHED)
    note_done(sql, intent.place, result, now=intent.now)
    held = sql.one(
        "SELECT budget FROM charges WHERE key = :key AND attempt = :attempt LIMIT 1",
        key=lost["key"], attempt=lost["attempt"],
    )  # fmt: skip
    if held is None and not lost["reserved"]:
        by = {"loop.vouched_by": card["answered_by"], "loop.lost_as": lost["error"]}
        close_try(sql, lost, End("done", intent.now, attributes=by, cost=0, cost_status="free"))
    return done_row(sql, intent.place.key)


def _ask(sql: Sql, name: str, intent: Intent, args: Body, lost: Row) -> None:
    place = intent.place
    note_doubt(sql, place.key)
    spent = sql.one(
        "SELECT coalesce(sum(cost), 0) AS cost FROM ledger WHERE owner = :owner", owner=place.owner
    )
    sql.run(
        "INSERT INTO cards (card, item, run, loop, kind, key, tool, arguments, args_digest, tool_digest,"
        " policy_digest, tree, principal, why, evidence, cost, reach, asked_at, not_before, posted_n)"
        " VALUES (:card, :item, :run, :loop, 'in_doubt', :key, :tool, :arguments, :args_digest,"
        " :tool_digest, '', :tree, :principal, :why, '[]', :cost, '', :now, :not_before, 0)",
        card=name, item=place.owner, run=place.run, loop=intent.principal.loop, key=place.key,
        tool=intent.name, arguments=args.column, args_digest=args.digest,
        tool_digest=intent.tool_digest or "", tree=intent.tree,
        principal=canonical(vars(intent.principal)), why=_known(intent.name, lost),
        cost=spent["cost"] if spent is not None else 0, now=intent.now,
        # A try that its own process has reported is over; one that was left behind may still be sent.
        not_before=lost["send_by"] if lost["error"] == ABANDONED else None,
    )  # fmt: skip
    sql.run("UPDATE items SET status = 'waiting' WHERE item = :item", item=place.owner)
    notice = {"kind": "in_doubt", "card": name, "item": place.owner, "run": place.run}
    send(sql, "notice", name, {**notice, "loop": intent.principal.loop})


def _known(name: str, lost: Row) -> str:
    message = json.loads(lost["attributes"]).get("error.message")
    told = f" ({message})" if message else ""
    return (
        f"{name!r} may have happened already: try {lost['attempt']:,} was opened at "
        f"{_moment(lost['started_at'])}, could be sent until {_moment(lost['send_by'])}, and ended as "
        f"{lost['error']!r}{told} without an answer on record. Look at the far side first."
    )


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
