"""Slots, deliveries and pauses as the store keeps them."""

import pytest

from drivers.store.store import SqlStore
from governance.breaker import Ending
from governance.effects import Refused, Stop
from governance.records import RunRow
from tests.drivers.store.story import LOOP, Story, settled

T = 1_780_000_000_000


@pytest.fixture
def told(store: SqlStore) -> Story:
    return Story(store)


async def opened(store: SqlStore, slot: str, now: int, **more: object) -> RunRow | Refused:
    return await store.open_run(
        f"r-{slot}", loop=LOOP, slot=slot, flow_run=f"f-{slot}", definition="sha256:d", budgets=(), now=now,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


async def test_a_calendar_begins_where_it_is_first_seen_and_anew_when_it_is_read_otherwise(
    store: SqlStore,
):
    assert await store.calendar(LOOP, "0 6 * * * UTC once", since=T) == T
    await store.deal_with(LOOP, T + 500, let_go=False, now=T)
    await store.deal_with(LOOP, T + 100, let_go=False, now=T)
    assert await store.calendar(LOOP, "0 6 * * * UTC once", since=T + 9000) == T + 500
    assert await store.calendar(LOOP, "0 7 * * * UTC once", since=T + 9000) == T + 9000


async def test_slots_that_are_let_go_are_on_record(store: SqlStore):
    await store.calendar(LOOP, "c", since=T)
    await store.deal_with(LOOP, T + 60_000, let_go=True, now=T)
    (line, *_) = await store.audit()
    assert (line["who"], line["what"], line["subject"]) == ("calendar", "slots let go", LOOP)


async def test_a_beat_is_known_by_when_it_began_and_ended(store: SqlStore):
    await opened(store, "2026-05-28T20:00:00Z", T, lease=T + 900)
    (beat,) = await store.beats(LOOP, since=T + 10**9)
    assert (beat.began, beat.ended, beat.lease) == (T, None, T + 900)
    await store.end_run("r-2026-05-28T20:00:00Z", stop=Stop("steps", "s"), now=T + 40)
    assert await store.beats(LOOP, since=T + 10**9) == ()
    (beat,) = await store.beats(LOOP, since=T + 39)
    assert beat.ended == T + 40


async def test_a_slot_that_somebody_ran_before_its_time_counts_as_run(store: SqlStore):
    await opened(store, "2030-01-01T00:00:00Z", T)
    await store.end_run("r-2030-01-01T00:00:00Z", stop=Stop("steps", "s"), now=T)
    (beat,) = await store.beats(LOOP, since=T + 10**9)
    assert beat.slot == "2030-01-01T00:00:00Z"


async def test_a_flow_run_finds_the_run_it_opened_with_what_was_delivered(store: SqlStore):
    await opened(store, "delivery-1", T, payload='{"a": 1}')
    found = await store.run_of("f-delivery-1")
    assert found is not None
    assert (found.slot, found.payload) == ("delivery-1", '{"a": 1}')
    assert await store.run_of("another") is None


async def test_a_delivery_is_taken_once_and_told_what_it_repeats(store: SqlStore):
    async def deliver(signed: str, payload: str, loop: str = LOOP) -> str:
        return await store.deliver(loop, "d1", signed=signed, payload=payload, now=T)

    assert await deliver("s1", "{}") == "taken"
    assert await deliver("s1", "{}") == "replayed"
    assert await deliver("s2", "{}") == "again"
    assert await deliver("s3", "[]") == "other"
    assert await deliver("s1", "{}", "other-loop") == "taken"
    fires = [row.payload for row in await store.outbox() if row.kind == "fire"]
    assert [f["loop"] for f in fires] == [LOOP, "other-loop"]


async def test_a_heartbeat_past_its_lease_is_closed_and_to_be_ended_once(told: Story):
    await opened(told.store, "s1", T, lease=T + 1000)
    assert await told.store.end_stuck(T + 1000) == ()
    (row,) = await told.store.end_stuck(T + 1001)
    assert row.run == "r-s1"
    assert await told.store.end_stuck(T + 5000) == ()
    kinds = [(o.kind, o.key) for o in await told.store.outbox()]
    assert kinds == [("notice", "r-s1"), ("end", "r-s1")]


async def test_a_heartbeat_that_lives_again_gets_a_new_lease_and_one_that_found_something_has_none(
    told: Story,
):
    await opened(told.store, "s1", T, lease=T + 1000)
    await opened(told.store, "s1", T + 900, lease=T + 1900)
    assert await told.store.end_stuck(T + 1500) == ()
    await told.open_run(now=T)
    await told.find("test_a", now=T + 1)
    assert [r.run for r in await told.store.end_stuck(T + 10**9)] == ["r-s1"]


async def test_a_heartbeat_that_was_given_up_and_lives_again_hands_out_nothing(told: Story):
    await told.open_run(now=T)
    await told.store.end_run("r1", stop=Stop("minutes", "it hung"), now=T + 1)
    assert await told.find("test_a", now=T + 2) == ()
    run = await told.store.run("r1")
    assert run is not None
    assert (run.status, run.stop) == ("closed", Stop("minutes", "it hung"))
    assert "dispatch" not in [o.kind for o in await told.store.outbox()]


async def seen(store: SqlStore) -> int:
    page = await store.state(LOOP)
    return page.version if page else 0


async def tripped(store: SqlStore, run: str = "r1", now: int = T) -> None:
    await store.trip(
        LOOP, run, why="twice for nothing.", state="# paused", seen=await seen(store), now=now
    )


async def test_a_paused_loop_opens_no_run_until_somebody_lets_it_go_on(store: SqlStore):
    await opened(store, "s1", T)
    await tripped(store)
    refused = await opened(store, "s2", T + 1)
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "breaker"
    assert f"loops resume {LOOP}" in refused.stop.detail
    # What was begun before goes on: a retry of its own flow run finds it.
    assert isinstance(await opened(store, "s1", T + 1), RunRow)
    await store.resume(
        LOOP, by="noor", reason="mended", state="# going", seen=await seen(store), now=T + 2
    )
    assert isinstance(await opened(store, "s2", T + 3), RunRow)


async def test_a_loop_is_paused_once_with_one_notice_and_one_switch(store: SqlStore):
    await tripped(store)
    await tripped(store, "r2", T + 5)
    pause = await store.breaker(LOOP)
    assert pause is not None
    assert (pause.nth, pause.run, pause.at) == (1, "r1", T)
    assert [(o.kind, o.key) for o in await store.outbox()] == [
        ("pause", f"{LOOP}-1"), ("notice", f"breaker-{LOOP}-1"),
    ]  # fmt: skip
    page = await store.state(LOOP)
    assert page is not None
    assert (page.body, page.by) == ("# paused", "breaker")


async def test_what_a_pause_switches_off_is_what_was_active_when_that_was_first_asked(
    store: SqlStore,
):
    await tripped(store)
    assert await store.switched_off(LOOP, 1) is None, "nobody has looked yet"
    assert await store.switch_off(LOOP, 1, ("night", "slot")) == ("night", "slot")
    # Killed half way, the next look finds one of them off already.
    assert await store.switch_off(LOOP, 1, ("slot",)) == ("night", "slot")
    assert await store.switched_off(LOOP, 1) == ("night", "slot")
    assert await store.switch_off(LOOP, 2, ("slot",)) == (), "there is no such pause"


async def test_letting_go_on_is_on_record_counts_anew_and_leaves_what_passed_meanwhile(told: Story):
    store = told.store
    await store.calendar(LOOP, "c", since=T)
    await told.open_run(now=T)
    await told.find("test_a", now=T + 1)
    await told.claim((await store.items())[0].item, now=T + 2)
    await store.close(
        told.item, fence=told.fence, status="stopped", outcome={}, stop=Stop("rounds", "3"), state="# s",
        seen=await seen(store), now=T + 3,
    )  # fmt: skip
    (ending,) = await store.endings(LOOP)
    assert ending == Ending("r1", fruitful=False, paid=False, cost=0, ends=(("rounds", "test_a"),))
    await tripped(store, now=T + 4)
    done = await store.resume(
        LOOP, by="noor", reason="mended", state="# going", seen=await seen(store), now=T + 10**6
    )
    assert done is not None
    assert (done.resumed_by, done.reason) == ("noor", "mended")
    assert (
        await store.resume(
            LOOP, by="noor", reason="again", state="# s", seen=await seen(store), now=T + 10**6
        )
        is None
    )
    assert await store.endings(LOOP) == ()
    assert await store.calendar(LOOP, "c", since=0) == T + 10**6
    (line, *_) = await store.audit()
    assert (line["who"], line["what"], line["detail"]) == ("noor", "loop resumed", "mended")
    assert ("unpause", f"{LOOP}-1") in [(o.kind, o.key) for o in await store.outbox()]


async def test_a_run_counts_as_paid_when_a_model_was_asked_and_as_fruitful_when_an_item_is_done(
    told: Story,
):
    store = told.store
    await told.open_run(now=T)
    await told.find("test_a", "test_b", now=T + 1)
    for row, status in zip(await store.items(), ("done", "stopped"), strict=True):
        await told.claim(row.item, now=T + 2)
        admitted = await told.admit(kind="model", name="claude", now=T + 3)
        await store.done(told.place(), admitted.attempt, settled(now=T + 4, cost=7))
        stop = Stop("rounds", "3") if status == "stopped" else None
        await store.close(
            told.item, fence=told.fence, status=status, outcome={}, stop=stop, state="# s",
            seen=await seen(store), now=T + 5,  # type: ignore[arg-type]
        )  # fmt: skip
    (ending,) = await store.endings(LOOP)
    assert (ending.fruitful, ending.paid, ending.cost) == (True, True, 14)
    assert len(ending.ends) == 1
