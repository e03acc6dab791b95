"""An effect was started and nobody can say whether it happened: may it start again?

Only a person can say, on a card of its own per lost try: it happened, and counts as done; it did not, and starts
once more; or neither, and the item ends.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from drivers.store import money, rows
from drivers.store.bodies import Body
from drivers.store.journal import Done, Result, done_row, note_done, note_doubt
from drivers.store.outbox import send
from drivers.store.people import find_card, put_card
from drivers.store.seals import CARDS, JOURNAL
from drivers.store.sql import Row, Sql
from drivers.store.tries import ABANDONED, End, close_try, last_try, lose_try
from governance.charges import Amounts
from governance.effects import InDoubt, Intent, Place, Principal, Refused, Stop
from governance.parts import canonical, short_id

VOUCHED = ("vouched", "untrusted")
"""Labels of a result that a person gave in place of the far side."""


@dataclass(frozen=True)
class _Lost:
    """An effect whose last try nobody can vouch for."""

    place: Place
    name: str
    head: str
    args: Body
    by: Principal
    tool_digest: str
    tree: str | None
    row: Row
    now: int

    @property
    def card(self) -> str:
        """One for each lost try."""
        attempt = str(self.row["attempt"])
        return short_id("c", self.place.owner, "in_doubt", self.place.key, attempt)


def resolve(sql: Sql, intent: Intent, args: Body, lost: Row) -> InDoubt | Refused | Done | None:
    """None when a person let it start again; else the card that waits, their word, or their refusal."""
    told = _Lost(
        intent.place, intent.name, intent.head, args, intent.principal, intent.tool_digest or "",
        intent.tree, lost, intent.now,
    )  # fmt: skip
    return _said(sql, told)


def resolve_all(
    sql: Sql, item: str, given_up: Sequence[Row], *, now: int
) -> InDoubt | Refused | None:
    """The same for every effect among these of the journal, which nobody will ask for again; None when all is said.

    The first that waits or is refused comes back; a card is there for each that waits.
    """
    answers = [_said(sql, lost) for row in given_up if (lost := _lost(sql, row, now)) is not None]
    for kind in (Refused, InDoubt):
        if (first := next((a for a in answers if isinstance(a, kind)), None)) is not None:
            return first
    return None


def _lost(sql: Sql, row: Row, now: int) -> _Lost | None:
    JOURNAL.check(row)
    if row["repeatable"] or row["status"] == "done":
        return None
    last = last_try(sql, row["key"])
    if last is not None and last["status"] == "open":
        lose_try(sql, last, End("unknown", now, error=ABANDONED))
        last = last_try(sql, row["key"])
    if last is None or last["status"] != "unknown":
        return None
    by = Principal(last["loop"], last["loop_owner"], last["team"], last["agent"], last["role"])
    args = Body(row["args"], row["args_digest"])
    return _Lost(rows.place_of(row), row["name"], row["head"], args, by, "", row["tree"], last, now)


def _said(sql: Sql, lost: _Lost) -> InDoubt | Refused | Done | None:
    card = find_card(sql, lost.card)
    if card is None:
        _ask(sql, lost)
        return InDoubt(lost.card)
    CARDS.check(card)
    if card["answer"] is None:
        return InDoubt(lost.card)
    if card["answer"] not in ("happened", "not-happened"):
        said = f": {card['reason']}" if card["reason"] else ""
        detail = (
            f"{lost.name!r} may have happened (try {lost.row['attempt']:,}), and "
            f"{card['answered_by']!r} abandoned it{said}"
        )
        return Refused(Stop("in_doubt", detail))
    CARDS.change(sql, card, used_by=card["key"])
    return _vouch(sql, lost, card) if card["answer"] == "happened" else None


def _vouch(sql: Sql, lost: _Lost, card: Row) -> Done:
    """It counts as done by a person's word; what it cost is settled only where that is nothing."""
    row = lost.row
    vouched = Result(Body.held(card["result"]), lost.head, VOUCHED)
    done = note_done(sql, lost.place, vouched, now=lost.now)
    costs = sql.one(
        "SELECT budget FROM charges WHERE key = :key AND attempt = :attempt AND budget NOT LIKE '%:calls'"
        " AND budget NOT LIKE '%:concurrent' LIMIT 1",
        key=row["key"], attempt=row["attempt"],
    )  # fmt: skip
    if costs is None and not row["reserved"]:
        money.settle(sql, row["key"], row["attempt"], Amounts(calls=1), now=lost.now)
        by = {"loop.vouched_by": card["answered_by"], "loop.lost_as": row["error"]}
        close_try(
            sql, row, End("done", lost.now, attributes=by, cost=0, list_cost=0, cost_status="free")
        )
    return done or done_row(sql, lost.place.key)


def _ask(sql: Sql, lost: _Lost) -> None:
    place, row = lost.place, lost.row
    note_doubt(sql, place.key)
    spent = sql.one(
        "SELECT coalesce(sum(cost), 0) AS cost FROM ledger WHERE owner = :owner", owner=place.owner
    )
    put_card(
        sql, lost.args, card=lost.card, item=place.owner, run=place.run, loop=lost.by.loop, kind="in_doubt",
        key=place.key, tool=lost.name, tool_digest=lost.tool_digest, policy_digest="", tree=lost.tree,
        principal=canonical(vars(lost.by)), why=_known(lost.name, row), evidence="[]",
        cost=spent["cost"] if spent is not None else 0, reach="", asked_at=lost.now,
        # A try that its own process has reported is over; one that was left behind may still be sent.
        not_before=row["send_by"] if row["error"] == ABANDONED else None,
    )  # fmt: skip
    sql.run("UPDATE items SET status = 'waiting' WHERE item = :item", item=place.owner)
    notice = {"kind": "in_doubt", "card": lost.card, "item": place.owner, "run": place.run}
    send(sql, "notice", lost.card, {**notice, "loop": lost.by.loop})


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
