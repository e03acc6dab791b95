"""An item whose budget is full for a while: does it wait without a process, wake by itself, and pay for nothing twice?"""

import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from demo.world import ROOT
from governance.budgets import BudgetRule
from governance.records import ItemRow
from tests.flows.bench import Bench
from tests.flows.clock import Clock

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
READS: dict[str, Any] = {**ONE, "play": {"tickets/v1": "read-on"}}
"""Nine model calls for the item."""
DAY = "rule:answers/all:calls"
MONDAY, TUESDAY, WEDNESDAY = (f"2026-06-0{day}T00:30:00+02:00" for day in (1, 2, 3))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("room")) as running:
        yield running


async def one_item(bench: Bench) -> ItemRow:
    _, _, (item,) = await bench.heartbeat(TICKETS)
    return await bench.item(item)


async def limited(bench: Bench, calls: int, **more: Any) -> None:
    told = {
        "name": "answers", "calls": calls, "per": "day", "timezone": "Europe/Berlin", "when_full": "wait",
        "model": "claude-*", **more,
    }  # fmt: skip
    await bench.store.put_rules((BudgetRule.model_validate(told),), (), by="claimed: noor", now=1)


async def waiting(bench: Bench, item: ItemRow) -> ItemRow:
    """The item, that has been worked on until a budget had no room."""
    state, item = await bench.work(item)
    assert (state.name, item.status, item.stop) == ("Suspended", "waiting", None)
    assert item.waits is not None
    assert not [r for r in await bench.ledger(item) if r.status == "open"]
    for window in await bench.store.windows(DAY):
        assert window.held == 0
    return item


async def woken(bench: Bench, item: ItemRow) -> bool:
    """Whether its flow run is on its way again."""
    return bench.api.states(str(item.flow_run))[-1]["name"] != "Suspended"


def told_that_work_waits(bench: Bench) -> list[str]:
    return [n["subject"] for n in bench.receiver.notices if "no room in its calls" in n["subject"]]


async def test_an_item_waits_for_the_next_day_as_often_as_it_must_and_no_paid_step_is_made_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("days", TICKETS, **READS)
    clock = Clock(monkeypatch, MONDAY)
    item = await one_item(bench)
    await limited(bench, 4)
    charged, alerts = bench.bill(), len(told_that_work_waits(bench))

    item = await waiting(bench, item)
    said = f"waits for budget {DAY} until 2026-06-02 00:00 Europe/Berlin"
    assert item.waits is not None
    assert item.waits.said == said
    (shown,) = await bench.loops("inbox")
    assert shown["waits"]["of"][0]["opens"] == "2026-06-01T22:00:00.000+00:00"
    page = await bench.store.state(TICKETS)
    assert page is not None
    assert f"waiting, {said}" in page.body
    # Housekeeping neither wakes it, nor takes a run without a form for one that lost its process.
    await bench.keep_house(later_s=3600)
    assert not await woken(bench, item)
    assert len(told_that_work_waits(bench)) == alerts + 1

    clock.at(TUESDAY)
    await bench.keep_house()
    assert await woken(bench, item)
    item = await waiting(bench, item)
    assert len(await bench.ledger(item, "model")) == 8
    assert len(told_that_work_waits(bench)) == alerts + 1, (
        "the next ending or housekeeping sends it"
    )
    clock.at(WEDNESDAY)
    await bench.keep_house()
    state, item = await bench.work(item)
    assert (state.name, item.status, item.waits) == ("Done", "done", None)
    assert item.outcome is not None
    assert item.outcome["claims"] == "I read it 8 times."
    assert len(await bench.paid_once(item, charged)) == 9
    assert len(told_that_work_waits(bench)) == alerts + 2, "once for each day"
    assert "until 2026-06-02 00:00 Europe/Berlin" in told_that_work_waits(bench)[alerts]
    run = await bench.store.run(item.run)
    assert run is not None
    assert (run.status, run.stop) == ("closed", None)


async def test_a_raise_wakes_what_waits_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("raised", TICKETS, **READS)
    item = await one_item(bench)
    await limited(bench, 4)
    charged = bench.bill()["calls"]
    item = await waiting(bench, item)
    shown = await bench.loops("budget", "show", DAY)
    assert [w["item"] for w in shown["waiting"]] == [item.item]
    done = await bench.loops("budget", "raise", DAY, "--to", "20", "--why", "go on", "--yes")
    assert (done["woken"], done["resumed"], done["dispatched"]) == ([item.item], [], True)
    assert await woken(bench, item)
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Done", "done")
    assert bench.bill()["calls"] - charged == 9


async def test_a_run_that_waits_for_a_budget_is_cancelled_in_the_ui(bench: Bench) -> None:
    await bench.begin("cancelled", TICKETS, **READS)
    item = await one_item(bench)
    await limited(bench, 4)
    item = await waiting(bench, item)
    assert bench.api.cancel(str(item.flow_run))["state"]["type"] == "CANCELLED"
    await bench.keep_house()
    item = await bench.item(item)
    assert (item.status, item.stop and item.stop.reason, item.waits) == (
        "stopped", "cancelled", None,
    )  # fmt: skip
    assert await bench.store.waiting() == ()


@pytest.mark.parametrize("point", ["before-posted", "after-posted", "before-suspend"])
async def test_a_process_that_dies_between_noting_the_wait_and_suspending_loses_no_item(
    bench: Bench, point: str
) -> None:
    await bench.begin(f"dies-{point}", TICKETS, **READS)
    item = await one_item(bench)
    await limited(bench, 4)
    doom = {"PYTHONPATH": str(ROOT), "LOOPRAIL_CRASH": f"{point}:1"}
    life = subprocess.run(
        [sys.executable, "-m", "tests.flows.life", str(item.flow_run), "60000"], cwd=ROOT,
        env={**bench.environment(), **doom}, capture_output=True, check=False,
    )  # fmt: skip
    assert life.returncode == -signal.SIGKILL, life.stderr
    assert bench.api.states(str(item.flow_run))[-1]["name"] == "Running"
    item = await bench.item(item)
    assert item.status == ("working" if point == "before-posted" else "waiting")
    await bench.keep_house(later_s=400)
    assert bench.api.states(str(item.flow_run))[-1]["name"] == "AwaitingRetry"
    item = await waiting(bench, item)
    rows = await bench.ledger(item, "model")
    assert [(r.status, r.attempt) for r in rows] == [("done", 1)] * 4
    assert [i.item for i in await bench.store.waiting()] == [item.item]


async def test_who_waits_for_a_person_and_for_a_budget_goes_on_by_whichever_comes_first(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin(
        "both", TICKETS, **ONE, play={"tickets/v1": "at-once"},
        harness={"approvals": {"linear.label_ticket": "pause_for_human"}},
    )  # fmt: skip
    clock = Clock(monkeypatch, MONDAY)
    item = await one_item(bench)
    await limited(bench, 1, model="*", tool="linear.get_ticket")
    reads = len(bench.calls("get_ticket"))
    item = await waiting(bench, item)
    (card,) = await bench.store.cards(item=item.item)
    assert bench.api.form(str(item.flow_run)) is not None
    assert len(bench.calls("get_ticket")) - reads == 1
    clock.at(TUESDAY)
    await bench.keep_house()
    assert await woken(bench, item)
    state, item = await bench.work(item)
    assert (state.name, item.status, item.waits) == ("Suspended", "waiting", None)
    assert len(bench.calls("get_ticket")) - reads == 2
    (same,) = await bench.store.cards(item=item.item)
    assert same.card == card.card
    form = {f"card_{card.card}": "approve", "approver": "noor", "reason": ""}
    assert bench.api.resume(str(item.flow_run), form)["status"] == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Done", "done")
    assert len(bench.calls("get_ticket")) - reads == 2


async def test_a_delegate_that_waits_holds_up_its_lead_alone_and_is_told_of_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:

    def tools() -> dict[str, list[str]]:
        return {"linear": ["get_ticket", "comment_ticket"]}

    await bench.begin(
        "delegates", TICKETS, **ONE,
        play={"tickets/v1": "hand-out", "draft/v2": "say-so", "review/v1": "say-so"},
        subagents=[
            {"name": "writer", "instructions": "draft.md@v2", "mcp_servers": tools()},
            {"name": "reader", "instructions": "review.md@v1", "mcp_servers": tools()},
        ],
    )  # fmt: skip
    clock = Clock(monkeypatch, MONDAY)
    item = await one_item(bench)
    await limited(bench, 2, agent="writer")
    charged = bench.bill()["calls"]
    item = await waiting(bench, item)
    by = [r.principal.agent for r in await bench.ledger(item, "model")]
    assert (by.count("writer"), by.count("reader")) == (2, 3)
    clock.at(TUESDAY)
    await bench.keep_house()
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Done", "done")
    rows = await bench.ledger(item, "model")
    assert bench.bill()["calls"] - charged == len(rows)
    assert {r.attempt for r in rows} == {1}
    assert item.outcome is not None
    assert "wait" not in item.outcome["claims"]


async def test_a_heartbeat_that_meets_it_ends_with_the_reason_and_the_next_looks_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("beats", TICKETS, **ONE)
    Clock(monkeypatch, MONDAY)
    await limited(bench, 1, model="*", tool="linear.list_tickets")
    state, _, _ = await bench.heartbeat(TICKETS)
    assert state.name == "Done"
    state, run, items = await bench.heartbeat(TICKETS)
    assert (state.name, items) == ("Budget", ())
    assert "a heartbeat waits for nobody" in str(state.message)
    assert (run.status, run.stop and run.stop.reason) == ("closed", "budget")
    done = await bench.loops("budget", "raise", DAY, "--to", "5", "--why", "look", "--yes")
    assert (done["resumed"], done["woken"]) == ([], [])
    state, _, _ = await bench.heartbeat(TICKETS)
    assert state.name == "Done"


async def test_a_moment_that_a_provider_names_far_ahead_is_waited_for_without_a_process(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("far", TICKETS, **READS)
    clock = Clock(monkeypatch, MONDAY)
    item = await one_item(bench)
    charged = bench.bill()["calls"]
    bench.faults({
        "kind": "status", "status": 429, "error": "rate_limit_error", "times": 1,
        "headers": {"retry-after": "3600"},
    })  # fmt: skip
    item = await waiting(bench, item)
    assert item.waits is not None
    assert item.waits.said.endswith(" until 2026-05-31 23:31 UTC")
    assert [r.status for r in await bench.ledger(item)] == ["failed"]
    await bench.keep_house(later_s=600)
    assert not await woken(bench, item)
    # Somebody presses Resume too early: the far side is left alone all the same.
    assert bench.api.resume(str(item.flow_run), {})["status"] == "ACCEPT"
    item = await waiting(bench, item)
    assert [r.status for r in await bench.ledger(item)] == ["failed"]
    clock.at(TUESDAY)
    await bench.keep_house()
    assert await woken(bench, item)
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Done", "done")
    rows = await bench.ledger(item, "model")
    assert [(r.status, r.attempt) for r in rows] == [
        ("failed", 1),
        *[("done", 2)],
        *[("done", 1)] * 8,
    ]
    assert bench.bill()["calls"] - charged == 9
