"""Does an item that a budget has no room for yet wait for it, hold nothing meanwhile, and go on when there is some?"""

from dataclasses import replace
from typing import Any

import pytest

from governance.budgets import BudgetRule
from governance.charges import Amounts
from governance.effects import Admitted, Intent, Place, Refused
from governance.parts import DAY_MS, PICO
from governance.raises import Raised, Raising
from governance.records import Budget
from governance.waits import Later, Wait
from tests.drivers.store.story import LOOP, RUN, Story, settled, usd

ONE = Amounts(usd=3 * PICO, calls=1)
DAY = "rule:money/all:usd"
RATE = "rule:rate/all:calls"
NOON = DAY_MS + DAY_MS // 2


async def in_force(story: Story, *told: dict[str, Any]) -> None:
    rules = tuple(BudgetRule.model_validate({"per": "day", **one}) for one in told)
    await story.store.put_rules(rules, (), by="claimed: noor", now=1)


def call(story: Story, step: int, now: int, most: Amounts = ONE, **more: Any) -> Intent:
    return replace(story.intent(step, now=now, kind="model", name="claude"), most=most, **more)


async def paid(story: Story, step: int, now: int, most: Amounts = ONE) -> None:
    """A call that took all it could."""
    got = await story.store.intend(call(story, step, now, most))
    assert isinstance(got, Admitted), got
    await story.store.done(story.place(step), got.attempt, replace(settled(now=now), paid=most))


async def refused(story: Story, step: int, now: int, **more: Any) -> Refused:
    got = await story.store.intend(call(story, step, now, **more))
    assert isinstance(got, Refused), got
    return got


async def waits(story: Story, step: int, now: int, **more: Any) -> Wait:
    """The last asking of a process, and the wait that its item is suspended for."""
    no = await refused(story, step, now, asks_last=True, **more)
    assert no.wait is not None, no.stop
    limit = more.get("wait_limit_ms")
    await story.store.posted(
        story.item, fence=story.fence, now=now, waits=(no.wait,), wait_limit_ms=limit
    )
    return no.wait


async def woken(story: Story) -> list[str]:
    return [str(o.payload["item"]) for o in await story.store.outbox() if o.kind == "resume"]


async def alerts(story: Story) -> list[tuple[str, str]]:
    told = [o.payload for o in await story.store.outbox() if o.kind == "notice"]
    return [(t["kind"], t["window"]) for t in told if t.get("kind") in ("waits", "refused")]


async def other(story: Story, name: str, *, now: int = 1100) -> Story:
    """Another item of the same loop, claimed."""
    run = f"run-{name}"
    await story.open_run(run, name)
    (item,) = await story.find(name, run=run, now=now)
    there = Story(story.store)
    await there.claim(item.item, flow_run=f"flow-{name}", now=now)
    return there


async def test_what_rolls_is_waited_for_without_a_hold_and_wakes_when_enough_has_rolled_out(
    story: Story,
) -> None:
    await in_force(story, {"name": "rate", "calls": 2, "per": "15m"})
    width = 15 * 60_000 // 20
    await paid(story, 0, 100 * width)
    await paid(story, 1, 105 * width)
    wait = await waits(story, 2, 110 * width)
    assert (wait.budget, wait.window, wait.opens) == (RATE, "last 15m", 121 * width)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.stop, item.waits and item.waits.of) == ("waiting", None, (wait,))
    for window in await story.store.windows(RATE):
        assert window.held == 0
    await story.store.sweep(121 * width - 1)
    assert await woken(story) == []
    (line,) = await story.store.sweep(121 * width)
    assert line == f"item {story.item!r} goes on: budget '{RATE}' has room"
    await story.store.sweep(121 * width)
    assert await woken(story) == [story.item], "once for each wait"
    await story.claim(now=121 * width)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.waits) == ("working", None)
    await paid(story, 2, 121 * width)


async def test_a_day_that_is_declared_to_be_waited_for_ends_at_midnight_by_its_clock(
    story: Story,
) -> None:
    await in_force(
        story, {"name": "money", "usd": 5, "timezone": "Europe/Berlin", "when_full": "wait"}
    )
    await paid(story, 0, NOON)
    wait = await waits(story, 1, NOON + 1)
    midnight = 2 * DAY_MS - 3_600_000
    assert (wait.opens, wait.until) == (midnight, "until 1970-01-03 00:00 Europe/Berlin")
    await story.store.sweep(midnight - 1)
    assert await woken(story) == []
    await story.store.sweep(midnight)
    assert await woken(story) == [story.item]
    await story.claim(now=midnight)
    await paid(story, 1, midnight)
    first, second = reversed(await story.store.windows(DAY))
    assert (first.window, first.spent) == ("1970-01-02", 3 * PICO)
    assert (second.window, second.spent) == ("1970-01-03", 3 * PICO)


async def test_a_day_stops_the_item_unless_it_is_declared_to_be_waited_for(story: Story) -> None:
    await in_force(story, {"name": "money", "usd": 5})
    await paid(story, 0, NOON)
    no = await refused(story, 1, NOON)
    assert (no.wait, no.stop.reason) == (None, "budget")
    assert "`loops budget raise rule:money/all:usd`" in no.stop.detail
    (stopped,) = await story.store.stopped_for(DAY, "1970-01-02")
    assert stopped.stop == no.stop


async def test_what_can_never_be_had_is_final_whatever_would_be_waited_for(story: Story) -> None:
    await in_force(story, {"name": "money", "usd": 2, "when_full": "wait"})
    assert (await refused(story, 0, NOON)).wait is None
    await story.claim(now=NOON)
    await in_force(story, {"name": "money", "usd": 2, "per": "24h"})
    no = await refused(story, 0, NOON)
    assert no.wait is None
    assert "It never has so much: change the rule in registry/budgets.yaml" in no.stop.detail


async def test_of_two_budgets_the_one_that_never_has_room_decides_and_else_the_one_that_has_it_last(
    story: Story,
) -> None:
    await in_force(
        story, {"name": "money", "usd": 5, "when_full": "wait"}, {"name": "rate", "calls": 1, "per": "15m"},
    )  # fmt: skip
    await paid(story, 0, NOON)
    no = await refused(story, 1, NOON)
    assert no.wait is not None
    assert no.wait.budget == DAY
    await in_force(story, {"name": "money", "usd": 5}, {"name": "rate", "calls": 1, "per": "15m"})
    assert (await refused(story, 1, NOON)).wait is None
    for budget in (DAY, RATE):
        for window in await story.store.windows(budget):
            assert window.held == 0, "nothing of a refused call is held"


async def test_what_calls_under_way_hold_is_had_when_they_end_for_less(story: Story) -> None:
    first = await story.admit(0, usd(90))
    no = await refused(story, 1, 3100, charges=(usd(50),), asks_last=True, most=Amounts())
    assert no.wait == Wait("run:r1:usd", RUN, 50, None, held=True)
    await story.store.posted(story.item, fence=story.fence, now=3100, waits=(no.wait,))
    await story.store.sweep(3200)
    assert await woken(story) == []
    await story.store.done(story.place(0), first.attempt, settled(usd(10)))
    await story.store.sweep(3300)
    assert await woken(story) == [story.item]


async def test_what_a_dead_process_held_is_unknown_after_its_lease_and_who_waits_hears_that_it_is_final(
    story: Story,
) -> None:
    await story.admit(0, usd(90), lease=8_000)
    no = await refused(story, 1, 3100, charges=(usd(50),), asks_last=True, most=Amounts())
    assert no.wait is not None
    await story.store.posted(story.item, fence=story.fence, now=3100, waits=(no.wait,))
    await story.store.sweep(8_000)
    assert await woken(story) == []
    said = await story.store.sweep(8_001)
    assert said[-1].endswith("budget 'run:r1:usd' has no room by itself any more")
    assert await woken(story) == [story.item]
    await story.claim(now=8_002)
    no = await refused(story, 1, 8_003, charges=(usd(50),), most=Amounts())
    assert (no.wait, no.stop.reason) == (None, "cost")


async def test_a_raise_wakes_what_waits_for_that_budget_at_once_and_nothing_else(
    story: Story,
) -> None:
    await in_force(
        story, {"name": "money", "usd": 5, "when_full": "wait"}, {"name": "rate", "calls": 2, "per": "24h"},
    )  # fmt: skip
    await paid(story, 0, NOON)
    await waits(story, 1, NOON + 1)
    there = await other(story, "test_b", now=NOON)
    rate = Wait(RATE, "last 24h", 9, 2 * DAY_MS)
    await story.store.posted(there.item, fence=there.fence, now=NOON + 2, waits=(rate,))
    wanted = Raising(DAY, "1970-01-02", 5 * PICO, 5 * PICO + 1, "a little", "noor")
    done = await story.store.raise_cap(wanted, now=NOON + 3)
    assert isinstance(done, Raised)
    assert done.woken == (), "that is not enough for it"
    more = replace(wanted, seen=5 * PICO + 1, to=9 * PICO)
    done = await story.store.raise_cap(more, now=NOON + 4)
    assert isinstance(done, Raised)
    assert (done.woken, done.resumed) == ((story.item,), ())
    assert await woken(story) == [story.item]
    await story.claim(now=NOON + 5)
    await paid(story, 1, NOON + 6)


async def test_no_more_are_woken_than_there_is_room_for_and_who_waits_longest_is_first(
    story: Story,
) -> None:
    await in_force(story, {"name": "rate", "calls": 2, "per": "15m"})
    await paid(story, 0, 0)
    await paid(story, 1, 0)
    later = [await other(story, f"test_{name}") for name in "bc"]
    for nth, there in enumerate((later[1], story, later[0])):
        no = await refused(story, 2, 1000 + nth, asks_last=True)
        assert no.wait is not None
        await story.store.posted(there.item, fence=there.fence, now=1000 + nth, waits=(no.wait,))
    opens = 21 * 45_000
    await story.store.sweep(opens)
    assert sorted(await woken(story)) == sorted([later[1].item, story.item])
    await story.store.sweep(opens)
    assert len(await woken(story)) == 2, "what they will take is set aside until they took it"


async def test_a_rule_that_is_gone_or_wider_lets_go_on_what_waited_for_it(story: Story) -> None:
    await in_force(story, {"name": "rate", "calls": 1, "per": "24h"})
    await paid(story, 0, NOON)
    await waits(story, 1, NOON)
    await in_force(story, {"name": "rate", "calls": 2, "per": "24h"})
    await story.store.sweep(NOON + 1)
    assert await woken(story) == [story.item]
    await story.claim(now=NOON + 2)
    await paid(story, 1, NOON + 3)
    await waits(story, 2, NOON + 4)
    await in_force(story)
    await story.store.sweep(NOON + 5)
    assert await woken(story) == [story.item] * 2


async def test_what_opens_later_than_an_item_may_wait_is_refused_for_good_and_says_so(
    story: Story,
) -> None:
    await in_force(story, {"name": "money", "usd": 5, "per": "month", "when_full": "wait"})
    await paid(story, 0, NOON)
    no = await refused(story, 1, NOON, asks_last=True, wait_limit_ms=7 * DAY_MS)
    assert no.wait is None
    assert "It has none until 1970-02-01 00:00 UTC" in no.stop.detail
    assert "waits 7.0 days in all at most (harness.max_wait)" in no.stop.detail
    (stopped,) = await story.store.stopped_for(DAY, "1970-01")
    assert stopped.item == story.item, "a raise lets it go on all the same"


async def test_all_that_an_item_waited_counts_and_at_its_end_it_is_woken_to_hear_so(
    story: Story,
) -> None:
    await in_force(story, {"name": "rate", "calls": 1, "per": "15m"})
    limit, opens = 20 * 60_000, 21 * 45_000
    await paid(story, 0, 0)
    await waits(story, 1, 1000, wait_limit_ms=limit)
    await story.store.sweep(opens)
    await story.claim(now=opens)
    there = await other(story, "test_b", now=opens)
    await paid(there, 0, opens)
    got = await refused(story, 1, opens, asks_last=True, wait_limit_ms=limit)
    assert got.wait is None, "15 minutes were waited, and as long once more is too long"
    await story.store.put_rules((), (), by="noor", now=opens)
    again = await other(story, "test_c", now=opens)
    held = Wait("run:r1:usd", RUN, 101, None, held=True)
    await story.store.posted(
        again.item, fence=again.fence, now=opens, waits=(held,), wait_limit_ms=limit
    )
    said = await story.store.sweep(opens + limit)
    assert said == (f"item {again.item!r} goes on: it has waited as long as it may",)


async def test_people_are_told_once_for_each_window_that_work_waits(story: Story) -> None:
    await in_force(
        story, {"name": "money", "usd": 5, "when_full": "wait"}, {"name": "rate", "calls": 3, "per": "15m"},
    )  # fmt: skip
    await paid(story, 0, NOON)
    assert (await refused(story, 1, NOON)).wait is not None
    assert await alerts(story) == [], "its process still waits"
    for moment in (NOON + 1, NOON + 2, NOON + DAY_MS):
        if moment > NOON + DAY_MS - 1:
            await paid(story, 2, moment)
        await refused(story, 1, moment, asks_last=True)
    assert await alerts(story) == [("waits", "1970-01-02"), ("waits", "1970-01-03")]


async def test_of_what_comes_back_within_a_day_people_are_told_once_a_day(story: Story) -> None:
    await in_force(story, {"name": "rate", "calls": 1, "per": "60s"})
    for hour in (0, 1, 25):
        await paid(story, hour, hour * 3_600_000)
        await refused(story, 50, hour * 3_600_000, asks_last=True)
    assert await alerts(story) == [("waits", "60s on 1970-01-01"), ("waits", "60s on 1970-01-02")]


async def test_a_heartbeat_waits_for_nobody_and_no_raise_claims_to_resume_it(story: Story) -> None:
    await in_force(story, {"name": "money", "usd": 5, "when_full": "wait"})
    await paid(story, 0, NOON)
    own = call(story, 0, NOON, place=Place(RUN, RUN, 0, "lead", 0, 0), fence=0)
    first = await story.store.intend(own)
    assert isinstance(first, Refused)
    assert first.wait is not None, "its process may wait for what comes within a moment"
    last = await story.store.intend(replace(own, asks_last=True))
    assert isinstance(last, Refused)
    assert last.wait is None
    assert "a heartbeat waits for nobody" in last.stop.detail
    assert "a raise resumes none" in last.stop.detail
    run = await story.store.run(RUN)
    assert run is not None
    assert run.stop == last.stop
    assert await alerts(story) == [("waits", "1970-01-02")]
    wanted = Raising(DAY, "1970-01-02", 5 * PICO, 9 * PICO, "more", "noor")
    done = await story.store.raise_cap(wanted, now=NOON + 1)
    assert isinstance(done, Raised)
    assert (done.resumed, done.woken) == ((), ())


@pytest.mark.parametrize("ends", ["closed", "given up"])
async def test_an_item_that_ends_while_it_waits_waits_for_nothing_more(
    story: Story, ends: str
) -> None:
    await in_force(story, {"name": "rate", "calls": 1, "per": "15m"})
    await paid(story, 0, 0)
    await waits(story, 1, 1)
    stop = Refused((await refused(story, 1, 2)).stop).stop
    seen = await story.seen()
    if ends == "closed":
        await story.store.close(
            story.item, fence=story.fence, status="stopped", outcome={}, stop=stop, state="#", seen=seen, now=3
        )  # fmt: skip
    else:
        await story.store.give_up(story.item, stop=stop, outcome={}, state="#", seen=seen, now=3)
    assert await story.store.waiting() == ()
    await story.store.sweep(DAY_MS)
    assert await woken(story) == []


async def test_it_is_on_the_page_and_the_meter_what_is_waited_for_and_gone_when_it_goes_on(
    story: Story,
) -> None:
    await in_force(story, {"name": "money", "usd": 5, "when_full": "wait"})
    await paid(story, 0, NOON)
    await waits(story, 1, NOON)
    said = f"waiting, waits for budget {DAY} until 1970-01-03 00:00 UTC"
    page = await story.store.state(LOOP)
    assert page is not None
    assert said in page.body
    reading = await story.store.meter(now=NOON)
    assert [item.item for item in reading.waiting] == [story.item]
    assert reading.of(loop="other").waiting == ()
    await story.claim(now=NOON + 1)
    page = await story.store.state(LOOP)
    assert page is not None
    assert "waits for budget" not in page.body
    assert (await story.store.meter(now=NOON)).waiting == ()


async def test_only_what_waits_for_people_needs_a_form(story: Story) -> None:
    await in_force(story, {"name": "money", "usd": 5, "when_full": "wait"})
    await paid(story, 0, NOON)
    await waits(story, 1, NOON)
    (handed,) = [h for h in await story.store.handed_out() if h.owner == story.item]
    assert (handed.status, handed.needs_form) == ("waiting", False)
    await story.claim(now=NOON + 1)
    await story.store.posted(story.item, fence=story.fence, now=NOON + 2)
    (handed,) = [h for h in await story.store.handed_out() if h.owner == story.item]
    assert (handed.status, handed.needs_form) == ("waiting", True)


async def test_a_far_side_that_wants_to_be_left_alone_is_asked_again_from_that_moment_on(
    story: Story,
) -> None:
    later = Later("anthropic", 9_000)
    await story.store.posted(story.item, fence=story.fence, now=3000, waits=(later,))
    item = await story.store.item(story.item)
    assert item is not None
    assert item.waits is not None
    assert item.waits.of == (later,)
    await story.store.sweep(8_999)
    assert await woken(story) == []
    (line,) = await story.store.sweep(9_000)
    assert line.endswith("goes on: anthropic wanted to be left alone until now")
    assert await woken(story) == [story.item]


async def test_a_run_of_its_own_cap_is_final_when_it_is_spent(story: Story) -> None:
    await story.open_run("r2", "07:00", Budget("run:r2:usd", "r2", 10))
    first = await story.admit(0, usd(95))
    await story.store.done(story.place(0), first.attempt, settled(usd(95)))
    no = await refused(story, 1, 4000, charges=(usd(6),), most=Amounts(), asks_last=True)
    assert (no.wait, no.stop.reason) == (None, "cost")


async def test_what_calls_under_way_hold_is_waited_for_though_the_window_ends_too_late(
    story: Story,
) -> None:
    await in_force(story, {"name": "money", "usd": 5, "per": "month", "when_full": "wait"})
    first = await story.store.intend(call(story, 0, NOON))
    assert isinstance(first, Admitted)
    wait = await waits(story, 1, NOON + 1, wait_limit_ms=DAY_MS)
    assert wait.held
    paid = replace(settled(now=NOON + 2), paid=Amounts(usd=PICO, calls=1))
    await story.store.done(story.place(0), first.attempt, paid)
    await story.store.sweep(NOON + 3)
    assert await woken(story) == [story.item]
