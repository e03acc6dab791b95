"""Which process lived when, and which rounds were begun anew?"""

import json
from collections.abc import Sequence

from drivers.store import rows
from drivers.store.doubts import resolve_all
from drivers.store.items import Taken, check_fence, journal_of
from drivers.store.pages import note
from drivers.store.seals import CARDS
from drivers.store.sql import Row, Sql
from governance.effects import InDoubt, Refused, round_in
from governance.errors import StoreError
from governance.parts import Json, canonical
from governance.rounds import Restarts, begun_anew, round_of


def process_of(sql: Sql, key: str) -> Json | None:
    """The process that opened the newest try of an effect; None for a try of the time before it was noted."""
    row = sql.one(
        "SELECT v.process FROM ledger l JOIN lives v ON v.item = l.owner AND v.fence = l.fence"
        " WHERE l.key = :key ORDER BY l.attempt DESC LIMIT 1",
        key=key,
    )
    return None if row is None else json.loads(row["process"])


def begin_anew(
    sql: Sql, item: str, round: int, *, card: str, fence: int, now: int
) -> Taken | InDoubt | Refused:
    """Rounds from this one on begin anew, by this card; used, it does nothing a second time.

    Not while one of their writes is in doubt: nobody would ask for it again, and the new round might make it
    twice. Raises `StoreError` for an older fence and for a card that does not say so.
    """
    check_fence(sql, item, fence)
    asked = sql.one("SELECT * FROM cards WHERE card = :card AND item = :item", card=card, item=item)
    if asked is not None:
        CARDS.check(asked)
    if asked is None or asked["answer"] != "restart":
        said = "there is no such card" if asked is None else f"its answer is {asked['answer']!r}"
        raise StoreError(f"card {card!r} restarts no round of item {item!r}: {said}.")
    if asked["used_by"] is None:
        restarts, given_up = _next(sql, item, round)
        unsaid = resolve_all(sql, item, given_up, now=now)
        if unsaid is not None:
            return unsaid
        _begin_anew(sql, item, round, asked, restarts)
    row = sql.one("SELECT * FROM items WHERE item = :item", item=item)
    assert row is not None
    return Taken(rows.item_row(row), journal_of(sql, item))


def _next(sql: Sql, item: str, round: int) -> tuple[Restarts, Sequence[Row]]:
    """The restarts with this one, and what stands on record in the rounds that it gives up."""
    row = sql.one("SELECT restarts FROM items WHERE item = :item", item=item)
    assert row is not None
    before, entries = rows.restarts_of(row), journal_of(sql, item)
    after = begun_anew(round, before, max((e["round"] for e in entries), default=0))
    given_up = [
        e
        for e in entries
        if round_of(e["round"], before) is not None and round_of(e["round"], after) is None
    ]
    return after, given_up


def _begin_anew(sql: Sql, item: str, round: int, asked: Row, restarts: Restarts) -> None:
    sql.run(
        "UPDATE items SET restarts = :restarts WHERE item = :item",
        restarts=canonical(restarts), item=item,
    )  # fmt: skip
    CARDS.change(sql, asked, used_by=asked["key"])
    _close_cards(sql, asked, restarts)
    note(
        sql, who=asked["answered_by"], what="round restarted", subject=item, detail=f"round {round}",
        now=asked["answered_at"],
    )  # fmt: skip


def _close_cards(sql: Sql, asked: Row, restarts: Restarts) -> None:
    """Nobody need answer for what was proposed in a round that was given up, and no answer to it counts."""
    left = sql.all(
        "SELECT * FROM cards WHERE item = :item AND used_by IS NULL",
        item=asked["item"],
    )
    for card in left:
        if round_of(round_in(card["key"]), restarts) is None:
            # Each by itself: what somebody has said of it stays.
            told = {
                "answer": "reject" if card["kind"] == "approval" else "abandon", "answered_by": "loop",
                "reason": "its round was begun anew", "answered_at": asked["answered_at"],
            }  # fmt: skip
            unsaid = {name: said for name, said in told.items() if card[name] is None}
            CARDS.change(sql, card, **unsaid, used_by=asked["key"])
