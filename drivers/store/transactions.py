"""Which of the store's methods are one piece of SQL, with nothing to put away before or to fetch after?"""

from collections.abc import Callable
from functools import wraps
from types import CoroutineType
from typing import Any, Concatenate, ParamSpec, TypeVar

from drivers.crash import around
from drivers.store import (
    breakers,
    fanouts,
    housekeeping,
    lives,
    lost,
    pages,
    people,
    raises,
    reconcile,
    recovery,
    reopening,
    rerating,
    retention,
    settling,
    spending,
    triggers,
)
from drivers.store import meter as money_meter
from drivers.store import reading as looks
from drivers.store.database import Database
from drivers.store.items import advance, close, posted, stop_item
from drivers.store.outbox import sent, unsent
from drivers.store.runs import end_run, found, open_run
from drivers.store.sql import Sql

P = ParamSpec("P")
T = TypeVar("T")


def writing(
    work: Callable[Concatenate[Sql, P], T], named: str
) -> "Callable[Concatenate[Transactions, P], CoroutineType[Any, Any, T]]":
    """A method that does the work in a transaction of that name (`drivers.crash`)."""

    @wraps(work)
    async def method(store: "Transactions", *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.write(lambda sql: work(sql, *args, **kwargs), named)

    return method


def reading(
    work: Callable[Concatenate[Sql, P], T],
) -> "Callable[Concatenate[Transactions, P], CoroutineType[Any, Any, T]]":
    """A method that does the work on a snapshot."""

    @wraps(work)
    async def method(store: "Transactions", *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.read(lambda sql: work(sql, *args, **kwargs))

    return method


class Transactions:
    """One database as one piece of work after the other, and the methods that are no more than that."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, work: Callable[[Sql], T], named: str) -> T:
        """Do the work in a transaction of that name (`drivers.crash`); durable when this returns."""
        with around(named):
            return await self._database.written(work)

    async def read(self, work: Callable[[Sql], T]) -> T:
        """Do the work on a snapshot."""
        return await self._database.looked(work)

    @property
    def name(self) -> str:
        """Which database it is, without a password."""
        return self._database.name

    @property
    def connected(self) -> bool:
        """False once it was disconnected."""
        return not self._database.closed

    def disconnect(self) -> None:
        """Finish what is under way and let go of the database. Safe to repeat."""
        self._database.close()

    pin = writing(pages.pin, "pin")
    definition = reading(pages.definition)
    state = reading(looks.state)
    correct = writing(pages.correct, "correct")
    audit = reading(looks.audit)
    budget = reading(looks.budget)
    meter = reading(money_meter.reading)
    run_meter = reading(money_meter.run_reading)
    put_cap = writing(pages.put_cap, "put-cap")
    rules = reading(spending.rules)
    put_rules = writing(spending.put_rules, "put-rules")
    fan_out_rules = reading(fanouts.rules)
    fan_out = reading(fanouts.of_run)
    fan_outs = reading(fanouts.on_record)
    answer_fan_out = writing(fanouts.answer, "answer-fan-out")
    caps = reading(raises.caps)
    windows = reading(raises.windows)
    in_window = reading(raises.in_window)
    raises_of = reading(raises.raises_of)
    stopped_for = reading(reopening.stopped_for)
    waiting = reading(looks.waiting)
    raise_cap = writing(reopening.raise_cap, "raise")

    open_run = writing(open_run, "open")
    found = writing(found, "found")
    end_run = writing(end_run, "end")
    run = reading(looks.run)
    runs = reading(looks.runs)

    run_of = reading(triggers.run_of)
    calendar = writing(triggers.calendar, "calendar")
    deal_with = writing(triggers.deal_with, "deal-with")
    beats = reading(triggers.beats)
    deliver = writing(triggers.deliver, "deliver")
    end_stuck = writing(triggers.end_stuck, "end-stuck")
    breaker = reading(breakers.open_breaker)
    endings = reading(breakers.endings)
    trip = writing(breakers.trip, "trip")
    switch_off = writing(breakers.switch_off, "switch-off")
    switched_off = reading(breakers.switched_off)
    resume = writing(breakers.resume, "unpause")

    advance = writing(advance, "advance")
    stop = writing(stop_item, "stop")
    posted = writing(posted, "posted")
    close = writing(close, "close")
    item = reading(looks.item)
    items = reading(looks.items)
    evidence = reading(looks.evidence)

    fail = writing(settling.fail, "fail")
    process_of = reading(lives.process_of)
    ledger = reading(looks.ledger)

    sweep = writing(housekeeping.sweep, "sweep")
    observed = reading(reconcile.observed)
    oldest_unknown = reading(reconcile.oldest_unknown)
    reconcile = writing(reconcile.reconcile, "reconcile")
    in_use = reading(retention.in_use)
    forget = writing(retention.forget, "forget")
    handed_out = reading(recovery.handed_out)
    restart = writing(recovery.restart, "restart")
    give_up = writing(recovery.give_up, "give-up")
    give_up_run = writing(recovery.give_up_run, "give-up-run")
    kept_house = writing(lost.kept_house, "kept-house")
    housekeepings = reading(lost.housekeepings)
    hand_out_anew = writing(lost.hand_out_anew, "hand-out-anew")
    answered = reading(people.answered)
    begin_rerate = writing(rerating.begin, "begin-rerate")
    put_rerated = writing(rerating.put, "put-rerated")
    end_rerate = writing(rerating.end, "end-rerate")
    rerated = reading(rerating.rerated)
    outbox = reading(unsent)
    sent = writing(sent, "sent")
