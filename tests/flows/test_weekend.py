"""The weekend incident: a loop that fires every ten minutes for two days and can accept nothing.

The 288 slots are deployment runs at a real Prefect server, each with its slot's time, run one after the other in this
process (no worker: that is ten seconds of process start for each), with our clock at the slot's moment.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from prefect import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from governance.budgets import BudgetRule
from governance.calendar import slot_name
from governance.parts import usd
from tests.flows.bench import Bench
from tests.flows.clock import Clock

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

FIX = "night-fix"
FRIDAY = datetime(2026, 6, 5, 18, 0, tzinfo=UTC)
SLOTS = [
    slot_name(int((FRIDAY + timedelta(minutes=10 * n)).timestamp() * 1000)) for n in range(288)
]
EVERY_TEN: dict[str, Any] = {"schedule": "*/10 * * * *", "timezone": "UTC"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("weekend")) as running:
        yield running


async def deployed(bench: Bench) -> Any:
    """The heartbeat's deployment with its schedule, as `prefect deploy` leaves it."""
    with bench.settings():
        async with get_client() as client:
            flow = await client.create_flow_from_name("heartbeat")
            line = CronSchedule(cron=EVERY_TEN["schedule"], timezone="UTC")
            schedule = DeploymentScheduleCreate(schedule=line, active=True, slug="slot")
            return await client.create_deployment(flow, name=FIX, schedules=[schedule])


@pytest.mark.parametrize(
    ("variant", "changes", "reason", "asked"),
    [
        ("at-the-base", {"goal": {"verify": "true"}}, "not_reproduced", {"lead"}),
        ("past-the-base", {"goal": {"max_rounds": 1}, "play": {"draft/v2": "idle"}}, "rounds", {"lead", "maker"}),
    ],
)  # fmt: skip
async def test_two_days_of_nothing_accepted_cost_less_than_three_runs_and_alert_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, variant: str, changes: dict[str, Any], reason: str,
    asked: set[str],
):  # fmt: skip
    from flows.heartbeat import heartbeat

    bench.no_pauses(monkeypatch)
    await bench.begin(variant, FIX, trigger=EVERY_TEN, **changes)
    clock = Clock(monkeypatch, SLOTS[0])
    deployment = await deployed(bench)
    alerts = len(told(bench))
    with bench.settings():
        async with get_client() as client:
            fired = [
                await client.create_flow_run_from_deployment(
                    deployment, parameters={"loop": FIX, "slot": slot}, idempotency_key=f"{variant}-{slot}"
                )
                for slot in SLOTS
            ]  # fmt: skip
        states = []
        for run, slot in zip(fired, SLOTS, strict=True):
            clock.at(slot)
            await bench._run(heartbeat, run)
            states.append((await bench._now(run.id)).name)
            for item in await bench.store.items(loop=FIX, open_only=True):
                await bench.work(item)

    runs = sorted(await bench.store.runs(loop=FIX, limit=1000), key=lambda r: r.slot)
    ledgers = [await bench.store.ledger(run=r.run) for r in runs]
    costs = [sum(row.cost or 0 for row in ledger) for ledger in ledgers]
    assert {r.principal.role for ledger in ledgers for r in ledger if r.kind == "model"} == asked
    assert [r.slot for r in runs] == SLOTS[:2]
    assert costs[0] > 0
    assert sum(costs) < 3 * costs[0]
    assert states == ["Done", "Done", *["Breaker"] * 286]

    (alert,) = told(bench)[alerts:]
    assert f"loops resume {FIX}" in alert
    pause = await bench.store.breaker(FIX)
    assert pause is not None
    assert (pause.run, reason in pause.why) == (runs[-1].run, True)
    page = await bench.store.state(FIX)
    assert page is not None
    assert "## Paused" in page.body
    assert (
        f"the same finding ended the same way in 2 runs in a row, and nothing was accepted: {reason}"
        in page.body
    )
    with bench.settings():
        async with get_client() as client:
            assert [s.active for s in await client.read_deployment_schedules(deployment)] == [False]

    # Monday: somebody looks, and lets it go on.
    said = await bench.loops("resume", FIX, "--reason", "the runner is mended", "--as", "noor")
    assert (said["schedules"], said["resumed_by"]) == ("active", "claimed: noor")
    with bench.settings():
        async with get_client() as client:
            assert [s.active for s in await client.read_deployment_schedules(deployment)] == [True]
    audit = [
        (a["who"], a["what"], a["detail"]) for a in await bench.store.audit() if a["subject"] == FIX
    ]
    assert ("claimed: noor", "loop resumed", "the runner is mended") in audit
    page = await bench.store.state(FIX)
    assert page is not None
    assert "## Paused" not in page.body


def told(bench: Bench) -> list[str]:
    return [str(n) for n in bench.receiver.notices if "is paused" in str(n)]


async def test_a_saturday_against_a_days_budget_is_a_capped_run_and_one_alert_with_its_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    """Four hours of it, with no breaker: what stops it is the rule alone."""
    from flows.heartbeat import heartbeat

    bench.no_pauses(monkeypatch)
    idle: dict[str, Any] = {"goal": {"max_rounds": 1}, "play": {"draft/v2": "idle"}}
    await bench.begin("saturday", FIX, trigger=EVERY_TEN, harness={"breaker": None}, **idle)
    saturday = datetime(2026, 6, 6, tzinfo=UTC)
    slots = [
        slot_name(int((saturday + timedelta(minutes=10 * n)).timestamp() * 1000)) for n in range(24)
    ]
    clock = Clock(monkeypatch, slots[0])
    deployment = await deployed(bench)

    async def fire(slot: str) -> str:
        with bench.settings():
            async with get_client() as client:
                run = await client.create_flow_run_from_deployment(
                    deployment, parameters={"loop": FIX, "slot": slot}
                )
            clock.at(slot)
            await bench._run(heartbeat, run)
            for item in await bench.store.items(loop=FIX, open_only=True):
                await bench.work(item)
            return str((await bench._now(run.id)).name)

    assert await fire(slots[0]) == "Done"
    (first,) = await bench.store.runs(loop=FIX)
    usual = await bench.store.ledger(run=first.run)
    cost, dearest = sum(r.cost or 0 for r in usual), max(r.reserved for r in usual)
    limit = dearest + cost // 2
    fitting = BudgetRule(
        name="fix-day", loop=FIX, usd=usd(limit).quantize(Decimal("0.000001")), per="day", share=()
    )
    await bench.store.put_rules((fitting,), (), by="claimed: noor", now=1)
    for slot in slots[1:]:
        await fire(slot)

    runs = [r for r in await bench.store.runs(loop=FIX, limit=1000) if r.run != first.run]
    assert len(runs) == len(slots) - 1
    ledgers = [await bench.store.ledger(run=run.run) for run in runs]
    spent = sum(row.cost or 0 for ledger in ledgers for row in ledger)
    assert 0 < spent <= fitting.cap
    capped = [r for r in runs if r.stop is not None and r.stop.reason == "budget"]
    assert len(capped) >= len(runs) - 2
    window = await bench.store.budget("rule:fix-day/all:usd", "2026-06-06")
    assert window is not None
    assert (window.spent, window.held, window.unknown) == (spent, 0, 0)
    alerts = [str(n) for n in bench.receiver.notices if "rule fix-day" in str(n)]
    assert len(alerts) == 1
    assert "its money is spent, and work stops" in alerts[0]
    assert "2026-06-06 00:" in alerts[0]
