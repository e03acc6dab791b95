"""Who works on an item now, where does it stand, and when has it ended?"""

import pytest

from governance.effects import Refused, Stop
from governance.errors import StoreError
from governance.records import Claimed, PageMoved
from tests.drivers.store.story import LOOP, RUN, Story, settled


async def test_a_claim_takes_the_fence_and_counts_a_life(story: Story) -> None:
    again = await story.claim(now=4000)
    assert isinstance(again, Claimed)
    assert (again.item.fence, again.item.life, again.item.status) == (2, 2, "working")


async def test_an_item_belongs_to_the_first_flow_run_that_takes_it(story: Story) -> None:
    refused = await story.claim(flow_run="other")
    assert refused == Refused(
        Stop("cancelled", f"item '{story.item}' belongs to flow run 'flow-1', not to 'other'")
    )


async def test_a_dispatch_tells_an_item_its_flow_run_unless_it_has_one(story: Story) -> None:
    (out,) = await story.store.outbox()
    await story.store.sent("dispatch", out.key, now=5, flow_run="late-dispatch")
    item = await story.store.item(story.item)
    assert item is not None
    assert item.flow_run == "flow-1"
    assert await story.store.outbox() == ()


async def test_a_life_too_many_stops_the_item_for_a_stated_reason(story: Story) -> None:
    refused = await story.claim(max_lives=1)
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "lives"
    assert "taken up by 1 of 1 processes" in refused.stop.detail
    item = await story.store.item(story.item)
    assert item is not None
    assert item.stop == refused.stop


async def test_claiming_again_clears_the_stop(story: Story) -> None:
    await story.store.stop(story.item, Stop("cost", "too dear"), now=5)
    again = await story.claim(now=4000)
    assert again.item.stop is None


async def test_the_first_reason_to_stop_stays(story: Story) -> None:
    await story.store.stop(story.item, Stop("cost", "first"), now=5)
    await story.store.stop(story.item, Stop("cancelled", "second"), now=6)
    item = await story.store.item(story.item)
    assert item is not None
    assert item.stop == Stop("cost", "first")


async def test_a_new_life_gets_the_whole_journal_in_order_of_place(story: Story) -> None:
    for step, ordinal in ((10, 0), (9, 1), (9, 0)):
        place = story.place(step, ordinal=ordinal)
        admitted = await story.admit(0, place=place)
        await story.store.done(place, admitted.attempt, settled(result={"n": step}))
    await story.admit(11)
    claimed = await story.claim(now=4000)
    assert [(e.place.step, e.place.ordinal, e.status) for e in claimed.journal] == [
        (9, 0, "done"), (9, 1, "done"), (10, 0, "done"), (11, 0, "intended"),
    ]  # fmt: skip
    assert claimed.journal == await story.store.entries(story.item)
    assert claimed.journal[0].result == {"n": 9}
    assert claimed.journal[3].result is None


async def test_where_an_item_stands_is_written_only_under_its_fence(story: Story) -> None:
    await story.store.advance(story.item, fence=1, round=2, base="c0ffee", now=5)
    await story.store.advance(story.item, fence=1, round=3, base=None, now=6)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.round, item.base) == (3, "c0ffee")
    await story.claim(now=4000)
    with pytest.raises(StoreError) as told:
        await story.store.advance(story.item, fence=1, round=9, base=None, now=7)
    assert str(told.value) == (
        f"item '{story.item}' was taken over: this process holds fence 1, the current one is 2. "
        "Nothing was written; this process must end."
    )


async def test_every_form_is_posted_under_a_fresh_key(story: Story) -> None:
    keys = [await story.store.posted(story.item, fence=1, now=3000) for _ in range(2)]
    assert keys == [f"card-{story.item}-1", f"card-{story.item}-2"]
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.posted_key, item.posted_n) == ("waiting", keys[1], 2)


async def test_waiting_for_a_person_is_not_awake_time(story: Story) -> None:
    await story.store.posted(story.item, fence=1, now=2000 + 700)
    await story.claim(now=3 * 86_400_000)
    await story.store.close(
        story.item,
        fence=2,
        status="done",
        outcome={},
        stop=None,
        state="#",
        seen=await story.seen(),
        now=3 * 86_400_000 + 50,
    )
    item = await story.store.item(story.item)
    assert item is not None
    assert item.awake_ms == 750


async def test_a_life_that_died_was_awake_until_its_lease_at_most(story: Story) -> None:
    await story.claim(now=2000 + 10_000_000)
    item = await story.store.item(story.item)
    assert item is not None
    assert item.awake_ms == 60_000


async def test_closing_the_last_item_closes_the_run_and_says_so(story: Story) -> None:
    run = await story.store.close(
        story.item,
        fence=1,
        status="stopped",
        outcome={"pr": None},
        stop=Stop("cost", "too dear"),
        state="# after",
        seen=await story.seen(),
        now=9000,
    )
    assert (run.status, run.open_items, run.closed_at) == ("closed", 0, 9000)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.outcome, item.stop, item.closed_at) == (
        "stopped", {"pr": None}, Stop("cost", "too dear"), 9000,
    )  # fmt: skip
    page = await story.store.state(LOOP)
    assert page is not None
    assert (page.version, page.body) == (2, "# after")
    notices = [o for o in await story.store.outbox() if o.kind == "notice"]
    assert [(o.key, o.payload) for o in notices] == [(RUN, {"kind": "run_closed", "run": RUN})]


async def test_closing_twice_is_closing_once(story: Story) -> None:
    async def close(status: str) -> object:
        return await story.store.close(
            story.item,
            fence=1,
            status=status,
            outcome={"s": status},
            stop=None,
            state="#",
            seen=await story.seen(),
            now=9,
        )

    assert await close("done") == await close("stopped")
    item = await story.store.item(story.item)
    assert item is not None
    assert item.status == "done"
    page = await story.store.state(LOOP)
    assert page is not None
    assert page.version == 2


async def test_a_run_stays_open_until_its_last_item_has_ended(story: Story) -> None:
    await story.open_run("r2", "07:00")
    items = await story.find("x", "y", run="r2")
    for n, item in enumerate(items):
        await story.claim(item.item, flow_run=f"w{n}")
        run = await story.store.close(
            item.item,
            fence=1,
            status="done",
            outcome={},
            stop=None,
            state="#",
            seen=await story.seen(),
            now=10 + n,
        )
        assert (run.status, run.open_items) == (("open", 1) if n == 0 else ("closed", 0))


async def test_an_item_is_not_closed_on_a_page_that_has_moved_and_nothing_is_written(
    story: Story,
) -> None:
    seen = await story.seen()
    await story.store.correct(LOOP, "# noor was here", seen=seen, by="noor", now=5)
    moved = await story.store.close(
        story.item, fence=1, status="done", outcome={}, stop=None, state="#", seen=seen, now=9
    )
    assert moved == PageMoved(seen + 1)
    item = await story.store.item(story.item)
    run = await story.store.run(RUN)
    page = await story.store.state(LOOP)
    assert item is not None
    assert run is not None
    assert page is not None
    assert (item.status, run.status, page.body) == ("working", "open", "# noor was here")
    assert not [o for o in await story.store.outbox() if o.kind == "notice"]


async def test_an_ended_item_is_not_taken_up_again(story: Story) -> None:
    await story.store.close(
        story.item,
        fence=1,
        status="done",
        outcome={},
        stop=None,
        state="#",
        seen=await story.seen(),
        now=9,
    )
    refused = await story.claim(now=4000)
    assert refused == Refused(Stop("cancelled", f"item '{story.item}' is already done"))


async def test_an_older_life_cannot_close_an_item(story: Story) -> None:
    await story.claim(now=4000)
    with pytest.raises(StoreError, match="was taken over"):
        await story.store.close(
            story.item,
            fence=1,
            status="done",
            outcome={},
            stop=None,
            state="#",
            seen=await story.seen(),
            now=9,
        )
