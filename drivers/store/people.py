"""What is a person asked, and what did they answer (T7, T8)?"""

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.store.bodies import Body
from drivers.store.items import check_fence
from drivers.store.outbox import send
from drivers.store.pages import note
from drivers.store.seals import CARDS
from drivers.store.sql import Row, Sql, Value
from governance.answers import Answer, takes, way_to_answer
from governance.errors import StoreError
from governance.parts import Json, canonical, short_id
from governance.records import Card

# An item that has ended leaves its cards unanswered; nobody is asked about them any more.
_OPEN = (
    "SELECT c.* FROM cards c LEFT JOIN items i ON i.item = c.item WHERE c.answer IS NULL"
    " AND (i.status IS NULL OR i.status NOT IN ('done', 'stopped'))"
)


@dataclass(frozen=True)
class Question:
    """A card to be asked, its bodies already put away."""

    card: Card
    arguments: Body
    diff: Body | None
    facts: Body | None


def ask(sql: Sql, question: Question, notice: Json, *, fence: int) -> Row:
    """T7: the card for this action: the one that is open or unused, else a fresh one with one notice."""
    card = question.card
    check_fence(sql, card.item, fence)
    name, row = _unused(sql, card.card, card.key)
    if row is None:
        _insert(sql, name, question)
        send(sql, "notice", name, notice)
    sql.run(
        "INSERT INTO askers (card, key) VALUES (:card, :key) ON CONFLICT (card, key) DO NOTHING",
        card=name, key=card.key,
    )  # fmt: skip
    row = one_card(sql, name)
    if row["answer"] is None:
        sql.run("UPDATE items SET status = 'waiting' WHERE item = :item", item=card.item)
    return row


def _unused(sql: Sql, first: str, key: str) -> tuple[str, Row | None]:
    """The card for an action; once another effect has used it, the next has a name of its own."""
    name, n = first, 0
    while (row := find_card(sql, name)) is not None and row["used_by"] not in (None, key):
        n += 1
        name = short_id("c", first, str(n))
    return name, row


def _insert(sql: Sql, name: str, question: Question) -> None:
    card = question.card
    put_card(
        sql, question.arguments, card=name, item=card.item, run=card.run, loop=card.loop, kind=card.kind,
        key=card.key, tool=card.tool, tool_digest=card.tool_digest, policy_digest=card.policy_digest,
        tree=card.tree, principal=canonical(vars(card.by)), why=card.why,
        evidence=canonical([vars(e) for e in card.evidence]), cost=card.cost,
        diff=question.diff.column if question.diff else None, reach=card.reach,
        facts=question.facts.column if question.facts else None,
        asked_at=card.asked_at, deadline=card.deadline, on_deadline=card.on_deadline,
    )  # fmt: skip


def put_card(sql: Sql, arguments: Body, **values: Value) -> None:
    """A new card that nobody has been asked about yet; what is not given is not known."""
    known: dict[str, Value] = {
        **dict.fromkeys(CARDS.parts), "args_digest": arguments.digest, "posted_n": 0, **values
    }  # fmt: skip
    names = (*known, "arguments", "seal")
    sql.run(
        f"INSERT INTO cards ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})",
        **known, arguments=arguments.column, seal=CARDS.seal(known),
    )  # fmt: skip


def answer(
    sql: Sql, card: str, *, answer: Answer, by: str, reason: str, now: int, result: Body | None = None
) -> Row:  # fmt: skip
    """T8: the first answer, audited, with the item's wake-up; `result` with it, for an effect that happened.

    After the deadline the declared answer is taken instead. Before an effect in doubt can no longer be on its
    way no answer is taken, and the card comes back without one. Raises `StoreError` for an answer that such a
    card does not take, `Damaged` for a card that is not the one that was asked.
    """
    row = one_card(sql, card)
    CARDS.check(row)
    if not takes(row["kind"], answer):
        raise StoreError(
            f"card {card!r} is {row['kind'].replace('_', ' ')}: it takes no {answer!r}. Nothing was "
            f"changed; answer it with `{way_to_answer(row['kind'], card)}`."
        )
    if row["answer"] is not None:
        return row
    if row["deadline"] is not None and now > row["deadline"]:
        return expire(sql, row, now=now)
    if row["not_before"] is not None and now <= row["not_before"]:
        return row
    if result is not None:
        CARDS.change(sql, row, result=result.column)
        row = one_card(sql, card)
    return _write_answer(sql, row, answer, by=by, reason=reason, now=now)


def learned(sql: Sql, card: str, facts: Body, *, fence: int) -> Row:
    """What else is known about what a card asks; the first word stays."""
    row = one_card(sql, card)
    check_fence(sql, row["item"], fence)
    if row["facts"] is None:
        CARDS.change(sql, row, facts=facts.column)
    return one_card(sql, card)


def expire(sql: Sql, row: Row, *, now: int) -> Row:
    """Nobody answered in time: what was declared for that case counts, and silence alone never means yes."""
    declared: Answer = row["on_deadline"] or "reject"
    return _write_answer(
        sql, row, declared, by="deadline", reason="nobody answered in time", now=now
    )


def settle_doubt(sql: Sql, key: str, answer: Answer, reason: str, *, now: int) -> None:
    """The lost try itself has reported: nobody need say any more what became of it, and its item goes on."""
    for row in sql.all(
        "SELECT * FROM cards WHERE key = :key AND kind = 'in_doubt' AND answer IS NULL", key=key
    ):
        _write_answer(sql, row, answer, by="ledger", reason=reason, now=now)


def cards(sql: Sql, *, item: str | None = None, open_only: bool = True) -> Sequence[Row]:
    """Cards, oldest first; `open_only` those that wait for a person."""
    chosen = _OPEN if open_only else "SELECT c.* FROM cards c WHERE true"
    of_item = "" if item is None else " AND c.item = :item"
    return sql.all(f"{chosen}{of_item} ORDER BY c.asked_at, c.card", item=item)


def answered(sql: Sql, *, loop: str | None = None, since: int | None = None) -> tuple[int, ...]:
    """The moments at which people answered cards; not what a deadline, the ledger or a loop said in their place."""
    of_loop = "" if loop is None else " AND loop = :loop"
    later = "" if since is None else " AND answered_at >= :since"
    found = sql.all(
        "SELECT answered_at FROM cards WHERE answer IS NOT NULL"
        f" AND answered_by NOT IN ('deadline', 'ledger', 'loop'){of_loop}{later} ORDER BY answered_at",
        loop=loop, since=since,
    )  # fmt: skip
    return tuple(row["answered_at"] for row in found)


def expired_cards(sql: Sql, now: int) -> Sequence[Row]:
    """Open cards past their deadline, oldest first."""
    return sql.all(f"{_OPEN} AND c.deadline < :now ORDER BY c.asked_at, c.card", now=now)


def find_card(sql: Sql, card: str) -> Row | None:
    """One card, or None."""
    return sql.one("SELECT * FROM cards WHERE card = :card", card=card)


def one_card(sql: Sql, card: str) -> Row:
    """One card. Raises `StoreError` when there is none."""
    row = find_card(sql, card)
    if row is None:
        raise StoreError(f"card {card!r} is not in the store. `loops approvals` lists what waits.")
    return row


def _write_answer(sql: Sql, row: Row, answer: Answer, *, by: str, reason: str, now: int) -> Row:
    card = row["card"]
    if row["answer"] is None:
        CARDS.change(sql, row, answer=answer, answered_by=by, reason=reason, answered_at=now)
    written = one_card(sql, card)
    gave = f", result {Body.held(written['result']).digest}" if written["result"] else ""
    note(
        sql, who=by, what=f"card {answer}", subject=card, detail=f"{row['args_digest']}{gave}", now=now,
    )  # fmt: skip
    payload = {"card": card, "item": row["item"], "run": row["run"], "loop": row["loop"]}
    send(sql, "resume", card, payload)
    return written
