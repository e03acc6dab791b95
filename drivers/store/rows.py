"""Which record does a row stand for?"""

import json

from drivers.store.bodies import Bodies
from drivers.store.journal import Done
from drivers.store.seals import CARDS, JOURNAL
from drivers.store.sql import Row
from governance.breaker import BreakerRow
from governance.conversation import Usage
from governance.effects import Evidence, Place, Principal, Recorded, Stop
from governance.parts import canonical
from governance.records import (
    Budget,
    Card,
    Entry,
    Finding,
    ItemRow,
    LedgerRow,
    Outgoing,
    RunRow,
    StatePage,
)
from governance.rounds import Restarts
from governance.waits import Later, Wait, Waits


def stop_of(row: Row) -> Stop | None:
    """The stop on an item or a run."""
    return Stop(row["stop_reason"], row["stop_detail"]) if row["stop_reason"] is not None else None


def run_row(row: Row) -> RunRow:
    """A run."""
    return RunRow(
        run=row["run"], loop=row["loop"], slot=row["slot"], flow_run=row["flow_run"],
        definition=row["definition"], status=row["status"], open_items=row["open_items"],
        opened_at=row["opened_at"], closed_at=row["closed_at"], stop=stop_of(row),
        summary=row["summary"], payload=row["payload"],
    )  # fmt: skip


def item_row(row: Row) -> ItemRow:
    """An item."""
    return ItemRow(
        item=row["item"], loop=row["loop"], run=row["run"],
        finding=Finding(**json.loads(row["finding"])), status=row["status"],
        definition=row["definition"], flow_run=row["flow_run"], round=row["round"],
        life=row["life"], fence=row["fence"], base=row["base"], tree=row["tree"],
        state=row["state"], stop=stop_of(row),
        outcome=json.loads(row["outcome"]) if row["outcome"] is not None else None,
        found_at=row["found_at"], closed_at=row["closed_at"], awake_ms=row["awake_ms"],
        posted_key=row["posted_key"], posted_n=row["posted_n"], restarts=restarts_of(row),
        noted=json.loads(row["noted"]) if row["noted"] is not None else None, waits=waits_of(row),
        waited_ms=row["waited_ms"] or 0,
    )  # fmt: skip


def waits_of(row: Row) -> Waits | None:
    """What an item waits for that comes by itself."""
    if row["waits"] is None:
        return None
    told = json.loads(row["waits"])
    of = tuple(Later(**wait) if "subject" in wait else Wait(**wait) for wait in told["of"])
    return Waits(told["since"], told["give_up_at"], of)


def spelled_waits(waits: Waits) -> str:
    """The same, as it is kept."""
    return canonical({**vars(waits), "of": [vars(wait) for wait in waits.of]})


def restarts_of(row: Row) -> Restarts:
    """The rounds of an item that were begun anew."""
    return tuple((int(start), int(by)) for start, by in json.loads(row["restarts"] or "[]"))


def place_of(row: Row) -> Place:
    """Where a journal row stands."""
    return Place(row["run"], row["owner"], row["round"], row["lane"], row["step"], row["ordinal"])


async def entry(bodies: Bodies, row: Row) -> Entry:
    """A journal row, its bodies fetched. Raises `Damaged` when it, or one of them, is not what was written."""
    JOURNAL.check(row)
    return Entry(
        key=row["key"], place=place_of(row), kind=row["kind"], name=row["name"],
        status=row["status"], head_before=row["head"], head_after=row["head_after"] or "",
        args=await bodies.get(row["args"], row["args_digest"]),
        result=(
            await bodies.get(row["result"], row["result_digest"])
            if row["result"] is not None
            else None
        ),
        labels=tuple(json.loads(row["labels"] or "[]")), tree=row["tree"], state=row["state"],
        attempts=row["attempts"],
    )  # fmt: skip


async def recorded(bodies: Bodies, done: Done) -> Recorded:
    """What a done effect gives its asker. Raises `Damaged` when that is not what was written."""
    row = done.row
    if not done.written:
        JOURNAL.check(row)
    return Recorded(
        result=await bodies.get(row["result"], None if done.written else row["result_digest"]),
        labels=tuple(json.loads(row["labels"])), tree=row["tree"], head=row["head"],
        args=await bodies.get(row["args"], row["args_digest"]), kind=row["kind"],
        head_after=row["head_after"],
    )  # fmt: skip


async def card(bodies: Bodies, row: Row) -> Card:
    """A card, its bodies fetched. Raises `Damaged` when it, or one of them, is not what was written."""
    CARDS.check(row)
    return Card(
        card=row["card"], item=row["item"], run=row["run"], loop=row["loop"], kind=row["kind"],
        key=row["key"], tool=row["tool"], arguments=await bodies.get(row["arguments"], row["args_digest"]),
        tool_digest=row["tool_digest"], policy_digest=row["policy_digest"], tree=row["tree"],
        by=Principal(**json.loads(row["principal"])), why=row["why"],
        evidence=tuple(Evidence(**e) for e in json.loads(row["evidence"])), cost=row["cost"],
        diff=await bodies.get(row["diff"]) if row["diff"] is not None else None,
        reach=row["reach"], asked_at=row["asked_at"], deadline=row["deadline"],
        on_deadline=row["on_deadline"], posted_n=row["posted_n"], answer=row["answer"],
        answered_by=row["answered_by"], reason=row["reason"], answered_at=row["answered_at"],
        used_by=row["used_by"], not_before=row["not_before"],
        facts=await bodies.get(row["facts"]) if row["facts"] is not None else None,
        result=await bodies.get(row["result"]) if row["result"] is not None else None,
    )  # fmt: skip


def ledger_row(row: Row) -> LedgerRow:
    """A try, joined with the place and kind of its effect."""
    return LedgerRow(
        seq=row["seq"] or 0, key=row["key"], attempt=row["attempt"], place=place_of(row),
        principal=Principal(
            row["loop"], row["loop_owner"], row["team"], row["agent"], row["role"]
        ),
        kind=row["kind"], name=row["name"], status=row["status"], started_at=row["started_at"],
        ended_at=row["ended_at"], usage=Usage(**json.loads(row["usage"])),
        reserved=row["reserved"], cost=row["cost"], cost_status=row["cost_status"],
        price=json.loads(row["price"]), response_model=row["response_model"], span=row["span"],
        parent_span=row["parent_span"], trace=row["trace"], error=row["error"],
        attributes=json.loads(row["attributes"]), list_cost=row["list_cost"],
    )  # fmt: skip


def budget(row: Row) -> Budget:
    """A budget in one window."""
    return Budget(
        row["budget"], row["period"], row["cap"], row["held"], row["spent"], row["unknown"]
    )


def evidence(row: Row) -> Evidence:
    """One piece of evidence."""
    return Evidence(row["kind"], row["tree"], row["verdict"], row["said_by"], row["detail"])


def page(row: Row) -> StatePage:
    """One version of a loop's state."""
    return StatePage(row["loop"], row["version"], row["body"], row["at"], row["said_by"])


def breaker(row: Row) -> BreakerRow:
    """One pause of a loop."""
    return BreakerRow(
        row["loop"], row["nth"], row["run"], row["why"], row["at"], row["resumed_at"],
        row["resumed_by"], row["reason"],
    )  # fmt: skip


def outgoing(row: Row) -> Outgoing:
    """One thing to send."""
    return Outgoing(row["kind"], row["key"], json.loads(row["payload"]), row["sent_at"])
