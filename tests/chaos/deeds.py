"""Every transaction that writes to the store, on its own: what stands before it, and the call that makes it.

The call is told how often it was made before; that moves its clock.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import sqlite

from drivers.backup import put_back, take
from drivers.store.connection import sqlite_database
from drivers.store.migrations import MIGRATIONS, migrate
from governance.bill import Billed, Meters
from governance.budgets import BudgetRule, FanOutRule
from governance.charges import Amounts
from governance.effects import Evidence, Place, Refused, Stop
from governance.fanout import Answering
from governance.parts import short_id
from governance.raises import Raising
from governance.reconcile import Compared, Share
from governance.records import Budget
from governance.recovery import Restart
from tests.drivers.store.story import (
    FLOW,
    HEAD,
    LOOP,
    RUN,
    TREE,
    Story,
    card_for,
    settled,
    store_in,
    usd,
)

ITEM = short_id("i", LOOP, "test_a", RUN)
CALL = Place(RUN, ITEM, 1, "lead", 0, 0)
T = 10_000
CALLED_OFF = Stop("cancelled", "a person said so")
MANIFEST = "sha256:" + "b" * 64

A_DAY = BudgetRule(name="day", tokens=1000, per="day")
BILLED = Compared(
    "m", (date(1970, 1, 1), date(1970, 1, 1)), "resolved", "the one unknown call billed",
    Billed(Meters(output=3), 30), Meters(), 0, 1, 40, (Share(CALL.key, 1, 30, Meters(output=3), True),),
    Meters(), 0,
)  # fmt: skip

Act = Callable[[Path, int], Coroutine[Any, Any, object]]
Told = Callable[[Story], Awaitable[object]]


@dataclass(frozen=True)
class Deed:
    """What stands in a directory before, and the call. `whole`: it is made beside the store, which appears whole."""

    before: Callable[[Path], Awaitable[object]]
    act: Act
    whole: bool = False


def at(then: Callable[[Story, int], Awaitable[object]]) -> Act:
    """The call by a process of its own, whose item was claimed before it."""

    @wraps(then)
    async def act(directory: Path, nth: int) -> object:
        store = store_in(directory)
        try:
            return await then(Story(store, ITEM, fence=1), nth)
        finally:
            store.disconnect()

    return act


def after(*told: Told) -> Callable[[Path], Awaitable[object]]:
    """All that stands before a call, told in order."""

    async def before(directory: Path) -> None:
        store = store_in(directory)
        story = Story(store, ITEM, fence=1)
        for one in told:
            await one(story)
        store.disconnect()

    return before


async def opened(story: Story) -> None:
    usd_cap, tokens = Budget("run:r1:usd", RUN, 100), Budget("run:r1:tokens", RUN, 50)
    await story.store.open_run(
        RUN, loop=LOOP, slot="06:00", flow_run="heartbeat-r1", definition="sha256:d",
        budgets=(usd_cap, tokens), now=1000, lease=5000,
    )  # fmt: skip


async def found(story: Story) -> object:
    return await story.find("test_a", budgets=(Budget("item:{item}:steps", RUN, 5),))


async def cheap_only(story: Story) -> None:
    """A rule that keeps back what nobody has a price of."""
    await story.store.put_rules((), (FanOutRule(name="cheap", usd=Decimal(1)),), by="noor", now=1)


async def claimed(story: Story, nth: int = 0) -> object:
    return await story.claim(ITEM, now=2000 + nth * T)


async def admitted(story: Story, nth: int = 0) -> object:
    return await story.store.intend(story.intent(0, usd(40), now=3000 + nth * T))


async def done(story: Story, nth: int = 0) -> object:
    proof = Evidence("verified", TREE, "passed", "verifier", "green")
    paid = settled(usd(30), now=3500 + nth * T, cost=30, tree=TREE, state=MANIFEST, evidence=(proof,))  # fmt: skip
    return await story.store.done(CALL, 1, paid)


async def lost_call(story: Story) -> None:
    call = story.intent(0, usd(40), kind="model", name="m", most=Amounts(usd=40))
    await story.store.intend(call)
    await story.store.fail(CALL, 1, status="unknown", error="unknown", attributes={}, now=3100)


async def recorded(story: Story, nth: int) -> object:
    return await story.store.record(
        story.place(1), kind="step", name="step 1", head=HEAD, head_after="sha256:then", args={},
        result={"calls": []}, labels=(), fence=1, now=3600 + nth * T,
    )  # fmt: skip


async def asked(story: Story, nth: int = 0) -> object:
    card = card_for(story.intent(2), deadline=9000, on_deadline="reject")
    return await story.store.ask(card, notice={"kind": "card"}, fence=1)


async def diverged(story: Story) -> None:
    """Two rounds on record, and a person's word that the second begins anew."""
    for round in (1, 2):
        place = story.place(0, round=round)
        got = await story.admit(place=place)
        await story.store.done(place, got.attempt, settled())
    card = card_for(story.intent(0, place=story.place(0, round=2)), "c9")
    await story.store.ask(replace(card, kind="diverged", tree=None), notice={}, fence=1)
    await story.store.answer("c9", answer="restart", by="noor", reason="", now=50)


async def closed(story: Story, nth: int = 0) -> object:
    return await story.store.close(
        ITEM, fence=1, status="done", outcome={"actions": []}, stop=None, state="# done", seen=1,
        now=8000 + nth,
    )  # fmt: skip


async def looked(story: Story) -> object:
    """A call of the heartbeat itself that is under way."""
    look = Place(RUN, RUN, 0, "look", 0, 0)
    return await story.store.intend(story.intent(0, usd(10), place=look, fence=0))


async def handed_out_anew(story: Story, nth: int) -> object:
    gone = await story.store.handed_out()
    return await story.store.hand_out_anew(gone, now=7000 + nth)


async def capped(story: Story, nth: int = 0) -> object:
    """A call that its budget has no room for, and the end of its item."""
    refused = await story.store.intend(story.intent(0, usd(101), now=3000))
    assert isinstance(refused, Refused)
    return await story.store.close(
        ITEM,
        fence=1,
        status="stopped",
        outcome={},
        stop=refused.stop,
        state="# capped",
        seen=1,
        now=8000,
    )


async def raised(story: Story, nth: int) -> object:
    wanted = Raising("run:r1:usd", RUN, seen=100, to=200, why="worth it", by="noor")
    return await story.store.raise_cap(wanted, now=9000 + nth)


async def dated(story: Story, nth: int = 0) -> object:
    return await story.store.calendar(LOOP, "0 6 * * * UTC once", since=5000 + nth)


async def tripped(story: Story, nth: int = 0) -> object:
    return await story.store.trip(
        LOOP, RUN, why="twice for nothing.", state="# paused", seen=1, now=6000 + nth
    )


async def with_first_tables(directory: Path) -> None:
    """A store with the tables that stores began with, and no more."""
    path = directory / "store.db"
    sqlite_database(path, lambda sql: migrate(sql, sqlite.dialect(), MIGRATIONS[:1])).close()


async def brought_up_to_date(directory: Path, nth: int) -> None:
    store_in(directory).disconnect()


async def backed_up(directory: Path) -> None:
    """A store in the middle of its work, and a backup of it."""
    old = directory / "old"
    await after(opened, found, claimed, admitted, asked)(old)
    await take(f"sqlite://{old}/store.db", old / "blobs", directory / "b", prefect=None, now=T)


async def restored(directory: Path, nth: int) -> object:
    url, blobs = f"sqlite://{directory}/store.db", directory / "blobs"
    return await put_back(directory / "b", url, blobs, prefect=None, by="noor", now=2 * T)


def plain(method: str, *args: Any, **named: Any) -> Act:
    """A method of the store whose arguments stay as they are but for the moment."""

    async def then(story: Story, nth: int) -> object:
        moved = {k: v + nth if k == "now" else v for k, v in named.items()}
        return await getattr(story.store, method)(*args, **moved)

    return at(then)


WORKING = (opened, found, claimed)
CRASHED = Restart(f"{ITEM}-0-s1", "it crashed")

DEEDS: dict[str, Deed] = {
    "prepare": Deed(with_first_tables, brought_up_to_date),
    "pin": Deed(after(), plain("pin", "loop", LOOP, "name: triage", by="registry", now=900)),
    "open": Deed(after(), at(lambda story, _: opened(story))),
    "found": Deed(after(opened), at(lambda story, _: found(story))),
    "claim": Deed(after(opened, found), at(claimed)),
    "advance": Deed(after(*WORKING), plain("advance", ITEM, fence=1, round=2, base="c" * 40, now=1)),
    "intend": Deed(after(*WORKING), at(admitted)),
    "done": Deed(after(*WORKING, admitted), at(done)),
    "fail": Deed(
        after(*WORKING, admitted),
        plain("fail", CALL, 1, status="failed", error="unavailable", attributes={}, now=3500),
    ),
    "record": Deed(after(*WORKING), at(recorded)),
    "stop": Deed(after(*WORKING), plain("stop", ITEM, CALLED_OFF, now=1)),
    "ask": Deed(after(*WORKING), at(asked)),
    "posted": Deed(after(*WORKING, asked), plain("posted", ITEM, fence=1, now=4000)),
    "answer": Deed(
        after(*WORKING, asked), plain("answer", "c1", answer="approve", by="noor", reason="seen", now=4000)
    ),
    "learned": Deed(after(*WORKING, asked), plain("learned", "c1", {"process": "gone"}, fence=1)),
    "begin-anew": Deed(
        after(*WORKING, diverged), plain("begin_anew", ITEM, 2, card="c9", fence=1, now=60)
    ),
    "close": Deed(after(*WORKING), at(closed)),
    "end": Deed(after(opened), plain("end_run", RUN, stop=CALLED_OFF, now=2000)),
    "sent": Deed(after(opened, found), plain("sent", "dispatch", f"{LOOP}-{ITEM}-0", now=50, flow_run="f")),
    "sweep": Deed(after(*WORKING, admitted, asked), plain("sweep", 11_000)),
    "end-stuck": Deed(after(opened), plain("end_stuck", 6000)),
    "restart": Deed(after(*WORKING), plain("restart", ITEM, FLOW, "s1", CRASHED)),
    "give-up": Deed(
        after(*WORKING, admitted),
        plain("give_up", ITEM, stop=Stop("lives", "too many"), outcome={}, state="# given up", seen=1, now=9000),
    ),
    "give-up-run": Deed(after(opened, looked), plain("give_up_run", RUN, stop=CALLED_OFF, now=9000)),
    "kept-house": Deed(after(), plain("kept_house", "flow-9", now=9000)),
    "hand-out-anew": Deed(after(*WORKING, admitted), at(handed_out_anew)),
    "forget": Deed(after(*WORKING, admitted, done, asked, closed), plain("forget", 9001)),
    "calendar": Deed(after(), at(dated)),
    "deal-with": Deed(after(dated), plain("deal_with", LOOP, 9000, let_go=True, now=9000)),
    "deliver": Deed(after(), plain("deliver", LOOP, "d1", signed="s1", payload="{}", now=1)),
    "trip": Deed(after(*WORKING), at(tripped)),
    "switch-off": Deed(after(*WORKING, tripped), plain("switch_off", LOOP, 1, ("s1",))),
    "unpause": Deed(
        after(*WORKING, dated, tripped),
        plain("resume", LOOP, by="noor", reason="mended", state="# going", seen=2, now=7000),
    ),
    "correct": Deed(after(*WORKING), plain("correct", LOOP, "# no", seen=1, by="noor", now=7000)),
    "put-cap": Deed(after(opened), plain("put_cap", "run:r1:usd", RUN, 500, by="noor", now=7000)),
    "raise": Deed(after(*WORKING, capped), at(raised)),
    "put-rules": Deed(after(opened), plain("put_rules", (A_DAY,), (), by="noor", now=7000)),
    "answer-fan-out": Deed(
        after(opened, cheap_only, found),
        plain("answer_fan_out", Answering(RUN, "allow", "noor", "seen"), now=7000),
    ),
    "reconcile": Deed(
        after(*WORKING, lost_call),
        plain("reconcile", BILLED, 1, source="the report", by="noor", now=9000),
    ),
    "restored": Deed(backed_up, restored, whole=True),
}  # fmt: skip
"""By the name of its transaction."""

AGAIN_IS_MORE = {
    "claim": "another life, under the next fence",
    "intend": "another try: nobody can say of the first that it did not happen",
    "posted": "another form, under a fresh key",
}
"""What making one a second time adds; all others change nothing then."""
