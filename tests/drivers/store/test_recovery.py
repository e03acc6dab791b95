"""Which open work may have lost its process, and how does it end when nobody can go on with it?"""

from typing import Any

import pytest

from governance.effects import Refused, Stop
from governance.errors import TakenOver
from governance.records import Budget, PageMoved
from governance.recovery import Restart
from tests.drivers.store.story import FLOW, LOOP, RUN, Story, card_for, settled, usd

LIVES = Stop("lives", "too many died")
CALLED_OFF = Stop("cancelled", "a person said so")


async def give_up(
    story: Story, stop: Stop = CALLED_OFF, now: int = 9000, seen: int | None = None
) -> Any:
    page = await story.store.state(LOOP)
    assert page is not None
    return await story.store.give_up(
        story.item, stop=stop, outcome={"actions": []}, state="# given up",
        seen=page.version if seen is None else seen, now=now,
    )  # fmt: skip


async def test_open_items_with_a_flow_run_and_heartbeats_that_found_nothing_yet_are_looked_after(
    story: Story,
) -> None:
    await story.open_run("r2", "07:00")
    await story.find("not-dispatched", run="r2")
    await story.open_run("r3", "08:00")
    handed = await story.store.handed_out()
    assert [(h.owner, h.flow_run, h.status, h.life) for h in handed] == [
        (story.item, FLOW, "working", 1),
        ("r3", "heartbeat-r3", "heartbeat", 0),
    ]


async def test_one_ending_is_followed_by_one_new_start_whoever_asks_how_often(
    story: Story,
) -> None:
    again = Restart(f"{story.item}-0-s1", "it crashed")
    assert [await story.store.restart(story.item, FLOW, "s1", again) for _ in range(3)] == [
        True, False, False,
    ]  # fmt: skip
    due = [o for o in await story.store.outbox() if o.kind == "restart"]
    assert [o.payload for o in due] == [
        {"owner": story.item, "flow_run": FLOW, "state": "s1", "why": "it crashed"}
    ]


async def test_new_starts_are_counted_since_the_last_form(story: Story) -> None:
    async def restarts() -> int:
        return (await story.store.handed_out())[0].restarts

    for n in range(2):
        key = Restart(f"{story.item}-0-s{n}", "it crashed")
        await story.store.restart(story.item, FLOW, f"s{n}", key)
        assert await restarts() == n + 1
    await story.store.posted(story.item, fence=1, now=3000)
    assert await restarts() == 0
    await story.store.restart(story.item, FLOW, "s9", Restart(f"{story.item}-1-s9", "again"))
    assert await restarts() == 1


async def test_what_is_given_up_is_closed_like_anything_else(story: Story) -> None:
    run = await give_up(story)
    assert (run.status, run.open_items) == ("closed", 0)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.stop, item.outcome) == ("stopped", CALLED_OFF, {"actions": []})
    page = await story.store.state(LOOP)
    assert page is not None
    assert page.body == "# given up"
    assert await story.store.handed_out() == ()
    assert [o.key for o in await story.store.outbox() if o.kind == "notice"] == [RUN]


async def test_giving_up_twice_is_giving_up_once_and_what_ended_well_stays(story: Story) -> None:
    await story.store.close(
        story.item, fence=1, status="done", outcome={}, stop=None, state="# done", seen=1, now=8000
    )
    await give_up(story)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.fence) == ("done", 1)
    page = await story.store.state(LOOP)
    assert page is not None
    assert page.body == "# done"


async def test_what_a_person_wrote_on_the_page_meanwhile_is_not_lost(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.store.correct(LOOP, "# said by noor", by="noor", seen=1, now=8500)
    assert isinstance(await give_up(story, seen=1), PageMoved)
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.fence) == ("working", 1)
    (row,) = await story.store.ledger(item=story.item)
    assert row.status == "open", "nothing was written"


async def test_a_process_that_still_lives_can_start_nothing_and_tell_nothing(
    story: Story,
) -> None:
    await give_up(story)
    refused = await story.store.intend(story.intent(5))
    assert isinstance(refused, Refused)
    for write in (
        story.store.advance(story.item, fence=1, round=2, base=None, now=9001),
        story.store.posted(story.item, fence=1, now=9001),
        story.store.close(
            story.item, fence=1, status="done", outcome={}, stop=None, state="#", seen=1, now=9001
        ),
        story.store.ask(card_for(story.intent(6)), notice={}, fence=1),
    ):
        with pytest.raises(TakenOver, match="this process must end"):
            await write


async def test_open_tries_of_what_is_given_up_are_unknown_and_settle_when_they_report(
    story: Story,
) -> None:
    await story.admit(0, usd(40))
    await give_up(story)
    (row,) = await story.store.ledger(item=story.item)
    assert (row.status, row.cost, row.error) == ("unknown", None, "cancelled")
    assert await story.store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 100, unknown=40)
    await story.store.done(story.place(0), 1, settled(usd(7), cost=7))
    (row,) = await story.store.ledger(item=story.item)
    assert (row.status, row.cost) == ("done", 7)
    assert await story.store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 100, spent=7)


async def test_too_many_deaths_are_told_once_and_apart(story: Story) -> None:
    for now in (9000, 9001):
        await give_up(story, LIVES, now=now)
    notices = [o for o in await story.store.outbox() if o.kind == "notice"]
    assert [(o.key, o.payload["kind"]) for o in notices] == [
        (f"lives-{story.item}", "lives"), (RUN, "run_closed"),
    ]  # fmt: skip


async def test_a_heartbeat_is_given_up_with_its_reason_and_its_open_tries(story: Story) -> None:
    await story.open_run("r2", "07:00")
    run = await story.store.give_up_run("r2", stop=CALLED_OFF, now=9000)
    assert (run.status, run.stop) == ("closed", CALLED_OFF)
    assert "r2" not in [h.owner for h in await story.store.handed_out()]


async def test_a_heartbeat_that_is_told_to_stop_is_admitted_nothing_more(story: Story) -> None:
    await story.open_run("r2", "07:00")
    await story.store.stop("r2", CALLED_OFF, now=5)
    run = await story.store.run("r2")
    assert run is not None
    assert (run.status, run.stop) == ("open", CALLED_OFF)


async def test_the_last_two_who_kept_house_are_on_record(story: Story) -> None:
    assert await story.store.housekeepings() == ()
    for n in (1, 2, 2, 3):
        await story.store.kept_house(f"house-{n}", now=n)
    assert await story.store.housekeepings() == ("house-3", "house-2")


async def test_work_whose_flow_runs_are_lost_is_handed_out_anew_and_its_older_lives_end(
    story: Story,
) -> None:
    await story.open_run("r3", "08:00")
    gone = await story.store.handed_out()
    assert [h.status for h in gone] == ["working", "heartbeat"]
    (line,) = await story.store.hand_out_anew(gone, now=9000)
    assert line.endswith("1 items are dispatched anew, 1 heartbeats have ended")
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.status, item.flow_run, item.life, item.fence) == ("found", None, 0, 2)
    assert isinstance(await story.store.intend(story.intent(5)), Refused), "of the life before"
    run = await story.store.run("r3")
    assert run is not None
    assert run.status == "closed"
    due = [(o.kind, o.key) for o in await story.store.outbox()]
    assert due == [
        ("dispatch", f"{LOOP}-{story.item}-lost-1"), ("notice", "r3"), ("notice", "lost-1"),
    ]  # fmt: skip
    assert await story.store.hand_out_anew(gone, now=9001) == (), "by now it has another"
    assert [(o.kind, o.key) for o in await story.store.outbox()] == due
