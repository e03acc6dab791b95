"""What a person cancels or deletes in Prefect's UI ends, whoever works on it, and says so where people look."""

from collections.abc import Iterator
from typing import Any

import pytest

from governance.records import ItemRow
from tests.flows.bench import Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
ASKS: dict[str, Any] = {**ONE, "harness": {"approvals": {"linear.label_ticket": "pause_for_human"}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("called-off")) as running:
        yield running


async def found(bench: Bench) -> ItemRow:
    """The one item of a heartbeat, dispatched and not started."""
    _, _, (item,) = await bench.heartbeat(TICKETS)
    return await bench.item(item)


async def waiting(bench: Bench) -> ItemRow:
    """An item that waits for a person under a form."""
    state, item = await bench.work(await found(bench))
    assert (state.name, item.status) == ("Suspended", "waiting")
    return item


async def ended_as_cancelled(bench: Bench, item: ItemRow, *words: str) -> ItemRow:
    """It is stopped, on the page, and told; nothing of it is open or holds any money."""
    item = await bench.item(item)
    assert item.status == "stopped"
    assert item.stop is not None
    assert item.stop.reason == "cancelled"
    for word in words:
        assert word in item.stop.detail
    page = await bench.store.state(TICKETS)
    assert page is not None
    assert f"item {item.item}): cancelled: " in page.body
    run = await bench.store.run(item.run)
    assert run is not None
    assert (run.status, run.open_items) == ("closed", 0)
    told = [n for n in bench.receiver.notices if item.run in n["subject"]]
    assert [n["subject"] for n in told] == [f"{TICKETS}: run {item.run} is over"]
    assert "stopped (cancelled)" in told[0]["body"]
    assert all(r.status != "open" for r in await bench.ledger(item))
    assert await bench.store.cards(item=item.item) == ()
    return item


async def test_a_run_that_waits_is_cancelled(bench: Bench) -> None:
    await bench.begin("waits", TICKETS, **ASKS)
    item = await waiting(bench)
    (card,) = await bench.store.cards(item=item.item)
    assert bench.api.cancel(str(item.flow_run))["state"]["type"] == "CANCELLED"
    await bench.keep_house()
    await ended_as_cancelled(bench, item, "was cancelled in Prefect")
    late = await bench.store.card(card.card)
    assert late is not None
    assert late.answer is None
    await bench.keep_house()
    await ended_as_cancelled(bench, item)


async def test_a_run_that_has_not_started_is_cancelled(bench: Bench) -> None:
    await bench.begin("scheduled", TICKETS, **ONE)
    item = await found(bench)
    assert bench.api.cancel(str(item.flow_run))["state"]["type"] == "CANCELLED"
    await bench.keep_house()
    item = await ended_as_cancelled(bench, item, "was cancelled in Prefect")
    assert (item.life, await bench.ledger(item)) == (0, [])


async def test_a_run_that_waits_is_deleted(bench: Bench) -> None:
    await bench.begin("deleted", TICKETS, **ASKS)
    item = await waiting(bench)
    await bench.keep_house()
    bench.api.delete(str(item.flow_run))
    await bench.keep_house()
    await ended_as_cancelled(bench, item, "it was deleted")


async def test_what_went_with_all_of_prefects_database_is_handed_out_anew_and_told_once(
    bench: Bench,
) -> None:
    """Nothing that the store knows of is there: not the item's flow run, and not those that kept house."""
    await bench.begin("lost", TICKETS, **ASKS)
    item = await waiting(bench)
    (card,) = await bench.store.cards(item=item.item)
    await bench.keep_house()
    made = bench.calls("comment_ticket")
    open_run = await bench.open_heartbeat(TICKETS)
    for gone in (item.flow_run, open_run.flow_run, *await bench.store.housekeepings()):
        bench.api.delete(str(gone))
    await bench.keep_house()

    again = await bench.item(item)
    assert again.flow_run not in (None, item.flow_run)
    assert (again.status, again.stop, again.fence) == ("found", None, item.fence + 1)
    closed = await bench.store.run(open_run.run)
    assert closed is not None
    assert closed.stop is not None
    assert (closed.status, closed.stop.reason) == ("closed", "cancelled")
    assert "gone with Prefect's database" in closed.stop.detail

    state, again = await bench.work(again)
    assert (state.name, again.status) == ("Suspended", "waiting"), "the same card, a fresh form"
    form = {f"card_{card.card}": "approve", "approver": "noor", "reason": ""}
    assert bench.api.resume(str(again.flow_run), form)["status"] == "ACCEPT"
    state, again = await bench.work(again)
    assert (state.is_completed(), again.status) == (True, "done")
    assert bench.calls("comment_ticket") == made, "what was done is not done again"
    await bench.keep_house()
    told = [n["body"] for n in bench.receiver.notices if "was lost" in n["subject"]]
    (body,) = told
    assert "1 items are dispatched anew, 1 heartbeats have ended" in body


async def test_a_finding_that_was_called_off_may_be_found_again(bench: Bench) -> None:
    await bench.begin("again", TICKETS, **ONE)
    item = await found(bench)
    bench.api.delete(str(item.flow_run))
    await bench.keep_house()
    again = await found(bench)
    assert again.item != item.item
    assert again.finding.dedupe == item.finding.dedupe


async def test_a_run_is_cancelled_while_its_model_answers_and_nothing_new_is_asked(
    bench: Bench,
) -> None:
    """The process lives on, as when its worker is dead: it finds out by itself, and ends the item itself."""
    await bench.begin("mid-call", TICKETS, **ONE, play={"tickets/v1": "repeat"})
    bench.faults({"kind": "slow", "seconds": 3, "times": 50, "role": "lead"})
    item = await found(bench)
    before = len(bench.requests())

    async def press() -> None:
        while len(bench.requests()) < before + 2:
            await bench.moment()
        bench.api.cancel(str(item.flow_run))

    state, item = await bench.beside(press(), bench.work(item))
    assert state.is_cancelled()
    await ended_as_cancelled(bench, item, "was cancelled in Prefect")
    assert len(bench.requests()) == before + 2
    rows = await bench.ledger(item, "model")
    assert [r.status for r in rows] == ["done", "done"]
    assert sum(r.cost or 0 for r in rows) > 0


async def test_a_heartbeat_that_has_not_found_anything_yet_is_cancelled(bench: Bench) -> None:
    await bench.begin("heartbeat", TICKETS, **ONE)
    run = await bench.open_heartbeat(TICKETS)
    assert bench.api.cancel(run.flow_run)["state"]["type"] == "CANCELLED"
    await bench.keep_house()
    closed = await bench.store.run(run.run)
    assert closed is not None
    assert closed.status == "closed"
    assert closed.stop is not None
    assert closed.stop.reason == "cancelled"
    subjects = [n["subject"] for n in bench.receiver.notices if run.run in n["subject"]]
    assert subjects == [f"{TICKETS}: run {run.run} is over"]


async def test_a_heartbeat_is_cancelled_while_its_lead_thinks_and_hands_out_nothing(
    bench: Bench,
) -> None:
    await bench.begin("thinks", TICKETS, **ONE)
    bench.faults({"kind": "slow", "seconds": 4, "role": "lead"})
    before = len(bench.requests())

    async def press() -> None:
        while len(bench.requests()) == before:
            await bench.moment()
        (run,) = await bench.store.runs(loop=TICKETS)
        bench.api.cancel(run.flow_run)

    state, run, items = await bench.beside(press(), bench.heartbeat(TICKETS))
    assert state.is_cancelled()
    assert items == ()
    assert run.status == "closed"
    assert run.stop is not None
    assert run.stop.reason == "cancelled"
    assert [o.kind for o in await bench.store.outbox()] == []


async def test_what_has_ended_stays_as_it_ended_when_its_run_is_deleted(bench: Bench) -> None:
    await bench.begin("tidy", TICKETS, **ONE)
    state, item = await bench.work(await found(bench))
    assert state.is_completed()
    bench.api.delete(str(item.flow_run))
    await bench.keep_house()
    assert await bench.item(item) == item
