"""Does what a cap has stopped go on when a person raises it, until when they say, and not otherwise?"""

from dataclasses import replace

import pytest

from governance.charges import Charge
from governance.effects import Admitted, Refused, Stop
from governance.parts import PICO
from governance.raises import NotRaised, Raised, Raising, minutes_of
from governance.records import Budget, ItemRow, RunRow
from tests.drivers.store.story import LOOP, RUN, Story, settled, usd
from tests.drivers.store.test_spending import MOST, admitted, in_force, refused, standing

CAP = "run:r1:usd"
WANTED = Raising(CAP, RUN, seen=100, to=200, why="worth it", by="noor")
MINUTE = 60_000


async def capped(story: Story, *charges: Charge, now: int = 4000, **changes: object) -> ItemRow:
    """One paid step of 90, the next one refused, and the item closed."""
    first = await story.admit(0, usd(90))
    await story.store.done(story.place(0), first.attempt, settled(usd(90), tree="t1", state="s1"))
    refused = await story.store.intend(
        story.intent(1, *(charges or (usd(11),)), now=now, **changes)
    )
    assert isinstance(refused, Refused), refused
    return await closed(story, refused.stop)


async def closed(story: Story, stop: Stop) -> ItemRow:
    await story.store.close(
        story.item, fence=story.fence, status="stopped", outcome={}, stop=stop, state="# page", now=5000,
        seen=await story.seen(),
    )  # fmt: skip
    return await now_is(story)


async def now_is(story: Story) -> ItemRow:
    row = await story.store.item(story.item)
    assert row is not None
    return row


async def run_is(story: Story) -> RunRow:
    run = await story.store.run(RUN)
    assert run is not None
    return run


async def dispatches(story: Story) -> list[str]:
    return [o.key for o in await story.store.outbox() if o.kind == "dispatch"]


async def test_a_raised_cap_opens_item_and_run_again_and_hands_the_item_out(story: Story) -> None:
    before = await capped(story)
    assert (await run_is(story)).status == "closed"
    got = await story.store.raise_cap(WANTED, now=6000)
    assert isinstance(got, Raised)
    assert (got.before, got.row.cap, got.resumed, got.left) == (100, 200, (story.item,), ())
    item, run = await now_is(story), await run_is(story)
    assert (item.status, item.stop, item.outcome, item.closed_at) == ("found", None, None, None)
    assert (item.flow_run, item.life, item.fence) == (None, 0, before.fence + 1)
    assert (item.tree, item.state) == ("t1", "s1"), "what was made is kept"
    assert (run.status, run.open_items, run.closed_at) == ("open", 1, None)
    assert f"{LOOP}-{story.item}-raised-1" in await dispatches(story)
    page = await story.store.state(LOOP)
    assert page is not None
    assert f"item {story.item}): found" in page.body


async def test_it_goes_on_at_the_next_step_and_what_was_paid_is_on_record(story: Story) -> None:
    await capped(story)
    await story.store.raise_cap(WANTED, now=6000)
    await story.claim(flow_run="flow-again", now=7000)
    done = await story.store.intend(story.intent(0, usd(90), now=7001))
    assert not isinstance(done, Admitted), "a paid step comes back from the record"
    assert isinstance(await story.store.intend(story.intent(1, usd(11), now=7002)), Admitted)


async def test_its_end_is_told_once_more(story: Story) -> None:
    await capped(story)
    await story.store.raise_cap(WANTED, now=6000)
    await story.claim(flow_run="flow-again", now=7000)
    await closed(story, Stop("checker", "no"))
    told = [o.key for o in await story.store.outbox() if o.payload.get("kind") == "run_closed"]
    assert told == [RUN, f"{RUN}-again-1"]
    assert (await run_is(story)).status == "closed"


async def test_who_raised_it_why_and_until_when_is_on_record(story: Story) -> None:
    await capped(story)
    await story.store.raise_cap(replace(WANTED, until=9000), now=6000)
    (line, *_) = await story.store.audit()
    assert (line["who"], line["what"], line["subject"]) == ("noor", "cap raised", f"{CAP} ({RUN})")
    assert line["detail"] == "100 to 200 until 9000: worth it"
    (row,) = await story.store.raises_of(CAP, RUN)
    assert (row.base, row.cap, row.by, row.why, row.until) == (100, 200, "noor", "worth it", 9000)


async def test_a_raise_is_over_at_its_moment_and_not_before(story: Story) -> None:
    await capped(story)
    await story.store.raise_cap(replace(WANTED, until=9000), now=6000)
    await story.claim(flow_run="flow-again", now=7000)
    assert isinstance(await story.store.intend(story.intent(1, usd(11), now=8999)), Admitted)
    refused = await story.store.intend(story.intent(2, usd(1), now=9000))
    assert isinstance(refused, Refused)
    assert "of 0.0000000001 usd" in refused.stop.detail
    (row,) = await story.store.raises_of(CAP, RUN)
    assert row.ended_at == 9000


async def test_housekeeping_ends_it_too_and_says_so(story: Story) -> None:
    await capped(story)
    await story.store.raise_cap(replace(WANTED, until=9000), now=6000)
    told = f"{CAP!r}: raise 1 to 200 is over, the cap is 100"
    assert await story.store.sweep(9001) == (told,)
    assert await story.store.sweep(9002) == ()
    assert await cap(story) == 100


async def cap(story: Story) -> int:
    (budget,) = await story.store.windows(CAP)
    return budget.cap


@pytest.mark.parametrize(
    ("first", "second", "caps"),
    [
        (9000, 9500, {8999: 300, 9000: 300, 9500: 100}),
        (9500, 9000, {8999: 300, 9000: 200, 9500: 100}),
        (None, 9000, {8999: 300, 9000: 200, 9500: 200}),
        (9000, None, {8999: 300, 9000: 300, 9500: 300}),
        (9000, 9000, {8999: 300, 9000: 100}),
    ],
)
async def test_of_several_raises_the_newest_holds_whose_time_is_not_over(
    story: Story, first: int | None, second: int | None, caps: dict[int, int]
) -> None:
    await story.store.raise_cap(replace(WANTED, until=first), now=6000)
    again = replace(WANTED, seen=200, to=300, until=second)
    assert isinstance(await story.store.raise_cap(again, now=6100), Raised)
    for now, expected in caps.items():
        await story.store.sweep(now)
        assert await cap(story) == expected, now


async def test_a_cap_that_was_put_in_force_meanwhile_outlives_the_end_of_a_raise(
    story: Story,
) -> None:
    await story.store.raise_cap(replace(WANTED, until=9000), now=6000)
    await story.store.put_cap(CAP, RUN, 150, by="noor", now=7000)
    await story.store.sweep(9000)
    assert await cap(story) == 150


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"seen": 90}, "is 0.0000000001 usd by now, not 0.00000000009"),
        ({"to": 100}, "is no more. Name a higher amount."),
        ({"budget": "run:r9:usd"}, "there is no budget 'run:r9:usd' in window 'r1'"),
    ],
)
async def test_what_would_not_raise_it_is_refused_and_changes_nothing(
    story: Story, changes: dict[str, object], why: str
) -> None:
    before = await capped(story)
    got = await story.store.raise_cap(replace(WANTED, **changes), now=6000)  # type: ignore[arg-type]
    assert isinstance(got, NotRaised)
    assert why in got.why
    assert await now_is(story) == before
    assert await story.store.raises_of(CAP, RUN) == ()


async def test_a_raise_that_leaves_no_room_is_refused(story: Story) -> None:
    first = await story.admit(0, usd(90))
    await story.store.done(story.place(0), first.attempt, settled(usd(150)))
    got = await story.store.raise_cap(replace(WANTED, to=150), now=6000)
    assert isinstance(got, NotRaised)
    assert "are spent or unknown, so 0.00000000015 would leave no room" in got.why


async def test_what_was_found_again_meanwhile_is_not_resumed_beside_it(story: Story) -> None:
    before = await capped(story)
    await story.open_run("r2", "07:00")
    (other,) = await story.find(before.finding.dedupe, run="r2")
    got = await story.store.raise_cap(WANTED, now=6000)
    assert isinstance(got, NotRaised)
    assert f"item {other.item!r} is found on it. Let that one end" in got.why
    assert await now_is(story) == before


async def test_what_was_forgotten_cannot_go_on(story: Story) -> None:
    await capped(story)
    await story.store.forget(10_000)
    got = await story.store.raise_cap(WANTED, now=11_000)
    assert isinstance(got, NotRaised)
    assert "its content was forgotten" in got.why
    assert (await now_is(story)).status == "stopped"


async def test_an_item_that_is_just_ending_for_it_is_not_overtaken(story: Story) -> None:
    assert isinstance(await story.store.intend(story.intent(0, usd(101))), Refused)
    got = await story.store.raise_cap(WANTED, now=6000)
    assert got == NotRaised(
        f"item {story.item!r} is just ending because of this cap. Try again in a moment."
    )


async def test_what_ended_for_another_reason_stays_ended(story: Story) -> None:
    before = await closed(story, Stop("checker", "no"))
    got = await story.store.raise_cap(WANTED, now=6000)
    assert isinstance(got, NotRaised)
    assert "nothing would come of it" in got.why
    assert await now_is(story) == before


async def test_a_cap_can_be_raised_before_anything_stops_for_it(story: Story) -> None:
    got = await story.store.raise_cap(WANTED, now=2500)
    assert isinstance(got, Raised)
    assert got.resumed == ()
    assert isinstance(await story.store.intend(story.intent(0, usd(150))), Admitted)


async def test_awake_minutes_are_raised_like_any_other_cap(story: Story) -> None:
    limits = {"awake_limit_ms": MINUTE}
    await capped(story, Charge("none", RUN, 0), now=2000 + 2 * MINUTE, **limits)
    name = minutes_of(story.item)
    budgets = await story.store.caps(RUN, story.item, awake_limit_ms=MINUTE, now=0)
    (minutes,) = [b for b in budgets if b.budget == name]
    assert (minutes.cap, minutes.spent) == (MINUTE, 3000)
    wanted = replace(WANTED, budget=name, seen=MINUTE, to=5 * MINUTE)
    short = await story.store.raise_cap(replace(wanted, seen=1, to=3000), now=6000)
    assert isinstance(short, NotRaised)
    assert "0.1 minutes are spent or unknown, so 0.1 would leave no room" in short.why
    assert isinstance(await story.store.raise_cap(wanted, now=6000), Raised)
    await story.claim(flow_run="flow-again", now=7000)
    later = 7000 + 4 * MINUTE
    assert isinstance(await story.store.intend(story.intent(1, now=later, **limits)), Admitted)
    refused = await story.store.intend(story.intent(2, now=later + MINUTE, **limits))
    assert isinstance(refused, Refused)
    assert (refused.stop.reason, "of 5.0 minutes" in refused.stop.detail) == ("minutes", True)


async def test_a_raise_for_a_rule_resumes_what_its_window_stopped_in_every_run(
    story: Story,
) -> None:
    await story.store.put_cap("rule:day/all:usd", "2026-11-26", 50, by="noor", now=1)
    await story.store.put_cap("rule:day/all:usd", "2026-11-27", 50, by="noor", now=1)
    before = await capped(story, Charge("rule:day/all:usd", "2026-11-26", 60))
    other = replace(WANTED, budget="rule:day/all:usd", window="2026-11-27", seen=50, to=70)
    got = await story.store.raise_cap(other, now=6000)
    assert isinstance(got, Raised)
    assert (got.resumed, await now_is(story)) == ((), before), "another day's raise is not its"
    got = await story.store.raise_cap(replace(other, window="2026-11-26"), now=6000)
    assert isinstance(got, Raised)
    assert got.resumed == (story.item,)


async def test_the_caps_of_an_item_are_its_own_and_its_runs(story: Story) -> None:
    await story.admit(0, usd(90), Charge(f"item:{story.item}:steps", RUN, 1))
    known = await story.store.caps(RUN, story.item, awake_limit_ms=MINUTE, now=2500)
    assert known == (
        Budget(f"item:{story.item}:steps", RUN, 5, held=1), Budget("run:r1:tokens", RUN, 50),
        Budget(CAP, RUN, 100, held=90), Budget(minutes_of(story.item), RUN, MINUTE, spent=500),
    )  # fmt: skip
    assert await story.store.in_window(RUN) == known[:3]


async def test_a_raise_for_a_day_lets_go_on_what_its_rule_has_stopped_and_outlives_an_apply(
    story: Story,
) -> None:
    name, day = "rule:all/all:usd", "1970-01-01"
    await in_force(story, {"name": "all", "usd": 5})
    first = await admitted(story, 0)
    paid = replace(MOST, usd=3 * PICO, concurrent=0)
    await story.store.done(story.place(0), first.attempt, replace(settled(), paid=paid))
    no = await refused(story, 1)
    assert f"Raise it for {day} with `loops budget raise {name}`" in no.stop.detail
    await closed(story, no.stop)
    wanted = Raising(name, day, seen=5 * PICO, to=10 * PICO, why="release", by="noor")
    got = await story.store.raise_cap(wanted, now=6000)
    assert isinstance(got, Raised), got
    assert got.resumed == (story.item,)
    await in_force(story, {"name": "all", "usd": 7})
    assert (await standing(story, name, day))[0] == 10 * PICO
    assert (await story.store.raises_of(name, day))[0].base == 7 * PICO
    await in_force(story, {"name": "all", "usd": 20})
    assert (await standing(story, name, day))[0] == 20 * PICO


async def test_a_window_that_rolls_is_not_raised(story: Story) -> None:
    await in_force(story, {"name": "all", "usd": 5, "per": "1h"})
    await admitted(story, 0)
    (budget, *_) = await story.store.windows("rule:all/all:usd")
    wanted = Raising(budget.budget, budget.window, budget.cap, 10 * PICO, "release", "noor")
    got = await story.store.raise_cap(wanted, now=6000)
    assert isinstance(got, NotRaised)
    assert "rolls, and its room comes back by itself" in got.why


async def test_whoever_raises_a_budget_that_was_overshot_lets_it_be_drawn_on_again(
    story: Story,
) -> None:
    name, day = "rule:all/all:usd", "1970-01-01"
    await in_force(story, {"name": "all", "usd": 50})
    first = await admitted(story, 0)
    more = replace(MOST, usd=4 * PICO, concurrent=0)
    await story.store.done(story.place(0), first.attempt, replace(settled(), paid=more))
    no = await refused(story, 1)
    assert "is stopped" in no.stop.detail
    await closed(story, no.stop)
    wanted = Raising(name, day, seen=50 * PICO, to=60 * PICO, why="the bill was right", by="noor")
    got = await story.store.raise_cap(wanted, now=6000)
    assert isinstance(got, Raised)
    assert got.resumed == (story.item,)
    await story.claim(flow_run="flow-again", now=7000)
    await admitted(story, 1, now=7001)
