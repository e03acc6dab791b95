"""An effect was started and nobody can say whether it happened: may it start again?

Only a person can say, on a card of its own per lost try. Approve lets it start once more, reject ends it.
"""

import json
from datetime import UTC, datetime

from drivers.store.bodies import Body
from drivers.store.journal import note_doubt
from drivers.store.outbox import send
from drivers.store.sql import Row, Sql
from governance.effects import InDoubt, Intent, Refused, Stop
from governance.parts import canonical, short_id


def resolve(sql: Sql, intent: Intent, args: Body, lost: Row) -> InDoubt | Refused | None:
    """None when a person let it start again; else the card that waits, or their refusal."""
    key, attempt = intent.place.key, lost["attempt"]
    name = short_id("c", intent.place.owner, "in_doubt", key, str(attempt))
    card = sql.one("SELECT answer, answered_by, reason FROM cards WHERE card = :card", card=name)
    if card is None:
        _ask(sql, name, intent, args, lost)
    if card is None or card["answer"] is None:
        return InDoubt(name)
    if card["answer"] == "reject":
        said = f": {card['reason']}" if card["reason"] else ""
        detail = (
            f"{intent.name!r} may have happened (try {attempt:,}), and {card['answered_by']!r} "
            f"said not to start it again{said}"
        )
        return Refused(Stop("in_doubt", detail))
    sql.run("UPDATE cards SET used_by = :key WHERE card = :card", key=key, card=name)
    return None


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
        not_before=lost["send_by"],
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
        f"{lost['error']!r}{told} without an answer on record. Look at the far side first. "
        "Approve: it is started once more. Reject: it is not."
    )


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
