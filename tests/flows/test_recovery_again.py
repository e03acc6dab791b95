"""A flow run whose process is gone is started again, once for each death, and not for ever."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from governance.records import ItemRow
from governance.recovery import SETTLED_MS
from tests.flows.bench import Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
LABEL = {"linear.label_ticket": "pause_for_human"}
ASKS: dict[str, Any] = {**ONE, "harness": {"approvals": LABEL}}
SETTLED_S = SETTLED_MS / 1000 + 1


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("again")) as running:
        yield running


async def found(bench: Bench) -> ItemRow:
    _, _, (item,) = await bench.heartbeat(TICKETS)
    return await bench.item(item)


async def waiting(bench: Bench) -> ItemRow:
    state, item = await bench.work(await found(bench))
    assert (state.name, item.status) == ("Suspended", "waiting")
    return item


def state_of(bench: Bench, item: ItemRow) -> tuple[str, str]:
    state = bench.api.flow_run(str(item.flow_run))["state"]
    return state["type"], state["name"]


async def answer(bench: Bench, item: ItemRow, word: str = "approve") -> str:
    """Answer every open card through the form, as the UI sends it."""
    cards = await bench.store.cards(item=item.item)
    form = {f"card_{c.card}": word for c in cards}
    return bench.api.resume(str(item.flow_run), {**form, "approver": "noor"})["status"]


def labels(bench: Bench) -> int:
    return len(bench.calls("label_ticket"))


async def test_a_crash_is_left_alone_for_a_minute_then_followed_by_one_new_start(
    bench: Bench,
) -> None:
    """Prefect's worker reports one crash twice; two housekeepers at once start it once."""
    await bench.begin("crashed", TICKETS, **ONE)
    item = await found(bench)
    bench.api.force(str(item.flow_run), "CRASHED")
    await bench.keep_house()
    assert state_of(bench, item) == ("CRASHED", "Crashed")
    await asyncio.gather(*(bench.keep_house(later_s=SETTLED_S) for _ in range(2)))
    assert state_of(bench, item) == ("SCHEDULED", "AwaitingRetry")
    (kept,) = [h for h in await bench.store.handed_out() if h.owner == item.item]
    assert kept.restarts == 1

    bench.api.force(str(item.flow_run), "CRASHED")  # the second report comes late
    await bench.keep_house(later_s=SETTLED_S)
    assert state_of(bench, item) == ("SCHEDULED", "AwaitingRetry")
    before = labels(bench)
    state, item = await bench.work(item)
    assert state.is_completed()
    assert labels(bench) == before + 1


async def test_an_answer_outlives_a_crash_and_the_new_start(bench: Bench) -> None:
    await bench.begin("answered", TICKETS, **ASKS)
    item = await waiting(bench)
    before = labels(bench)
    assert await answer(bench, item) == "ACCEPT"
    bench.api.force(str(item.flow_run), "CRASHED")  # before any process has read it
    await bench.keep_house(later_s=SETTLED_S)
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    assert item.posted_n == 1, "nobody was asked again"
    assert labels(bench) == before + 1


async def test_an_answer_outlives_a_press_on_retry(bench: Bench) -> None:
    """Retry in the UI is an ordinary way out of an ended state: Prefect forgets that the form was answered."""
    await bench.begin("retried", TICKETS, **ASKS)
    item = await waiting(bench)
    before = labels(bench)
    assert await answer(bench, item) == "ACCEPT"
    bench.api.force(str(item.flow_run), "CRASHED")
    assert bench.api.retry(str(item.flow_run))["status"] == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    assert item.posted_n == 1
    assert labels(bench) == before + 1


async def test_a_run_that_waits_is_retried_and_asks_again_under_a_form_that_works(
    bench: Bench,
) -> None:
    await bench.begin("asks-again", TICKETS, **ASKS)
    item = await waiting(bench)
    before = labels(bench)
    bench.api.force(str(item.flow_run), "CRASHED")
    assert bench.api.retry(str(item.flow_run))["status"] == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.name, item.posted_n) == ("Suspended", 2)
    assert await answer(bench, item) == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), labels(bench)) == (True, before + 1)


async def test_a_run_that_is_suspended_without_a_form_asks_again(bench: Bench) -> None:
    """A process may die between pausing its run and saving the form: nobody could answer it."""
    await bench.begin("formless", TICKETS, **ASKS)
    item = await waiting(bench)
    before = labels(bench)
    bench.api.forget_form(str(item.flow_run))
    assert await answer(bench, item) == "REJECT"
    await bench.keep_house()
    assert state_of(bench, item)[0] == "PAUSED"
    await bench.keep_house(later_s=SETTLED_S)
    assert state_of(bench, item) == ("SCHEDULED", "AwaitingRetry")
    state, item = await bench.work(item)
    assert (state.name, item.posted_n) == ("Suspended", 2)
    await bench.keep_house(later_s=SETTLED_S)
    assert state_of(bench, item)[0] == "PAUSED", "a form that is there is left alone"
    assert await answer(bench, item) == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), labels(bench)) == (True, before + 1)


async def test_a_flow_that_failed_with_its_item_open_is_started_again(bench: Bench) -> None:
    await bench.begin("failed", TICKETS, **ONE)
    item = await found(bench)
    bench.api.force(str(item.flow_run), "FAILED")
    await bench.keep_house(later_s=SETTLED_S)
    state, _ = await bench.work(item)
    assert state.is_completed()


async def test_a_run_that_always_dies_is_given_up_for_a_reason_and_one_alert(
    bench: Bench,
) -> None:
    """Also when it dies before it takes the item up, where no life is counted."""
    await bench.begin("lives", TICKETS, **ONE, harness={"max_lives": 3})
    item = await found(bench)
    for n in range(3):
        bench.api.force(str(item.flow_run), "CRASHED")
        await bench.keep_house(later_s=SETTLED_S)
        assert state_of(bench, item) == ("SCHEDULED", "AwaitingRetry"), n
    bench.api.force(str(item.flow_run), "CRASHED")
    for _ in range(3):
        await bench.keep_house(later_s=SETTLED_S)
    assert state_of(bench, item) == ("CRASHED", "Crashed"), "it is not started for ever"
    item = await bench.item(item)
    assert item.status == "stopped"
    assert item.stop is not None
    assert item.stop.reason == "lives"
    assert "3 of 3 times" in item.stop.detail
    told = [n["subject"] for n in bench.receiver.notices if "given up" in n["subject"]]
    assert told == [f"{TICKETS}: given up: {item.finding.title}"]
    page = await bench.store.state(TICKETS)
    assert page is not None
    assert "lives: " in page.body


async def test_a_life_too_many_ends_the_item_also_when_a_person_presses_retry(
    bench: Bench,
) -> None:
    await bench.begin("life-too-many", TICKETS, **ONE, harness={"max_lives": 1})
    item = await found(bench)
    await bench.dies_after_taking(item)
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Lives", "stopped")
    assert item.stop is not None
    assert item.stop.reason == "lives"


async def test_a_crashed_heartbeat_is_started_again_and_finds_what_there_is(bench: Bench) -> None:
    await bench.begin("beats-again", TICKETS, **ONE)
    run = await bench.open_heartbeat(TICKETS)
    bench.api.force(run.flow_run, "CRASHED")
    await bench.keep_house(later_s=SETTLED_S)
    state = bench.api.flow_run(run.flow_run)["state"]
    assert (state["type"], state["name"]) == ("SCHEDULED", "AwaitingRetry")
    await bench.run_heartbeat(run)
    (item,) = await bench.store.items(run=run.run)
    assert item.flow_run is not None
    assert await bench.store.handed_out() != ()


async def test_a_life_that_was_taken_over_ends_without_a_word(bench: Bench) -> None:
    """It must not tell Prefect how the run ended: a newer process is at work on the same flow run."""
    await bench.begin("taken", TICKETS, **ONE, play={"tickets/v1": "repeat"})
    item = await found(bench)
    bench.faults({"kind": "slow", "seconds": 3, "times": 1, "role": "lead"})
    before = len(bench.requests())

    async def take() -> None:
        while len(bench.requests()) == before:
            await bench.moment()
        await bench.dies_after_taking(item)

    state, item = await bench.beside(take(), bench.work(item))
    assert state.name == "Running"
    assert (item.status, item.fence, item.stop) == ("working", 2, None)
    (row,) = await bench.ledger(item, "model")
    assert row.status == "done", "what it had under way still counts"
