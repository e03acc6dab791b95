"""Is a fan-out priced before anything is asked for it, kept back above a rule, and let go by a person alone?"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from prefect import get_client
from prefect.states import Scheduled

from drivers import crash
from governance.budgets import FanOutRule
from governance.parts import usd
from governance.records import ItemRow, RunRow
from tests.flows.bench import Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS = "ticket-triage"
MANY: dict[str, Any] = {"find": {"max_items": 3, "arguments": {"state": "all"}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("fan-outs")) as running:
        yield running


async def in_force(bench: Bench, limit: str | Decimal) -> None:
    rule = FanOutRule(name="at-once", usd=Decimal(limit), team="support")
    await bench.store.put_rules((), (rule,), by="claimed: noor", now=1)


def notices(bench: Bench) -> list[str]:
    """Subjects of all that was told of a fan-out so far."""
    return [str(n["subject"]) for n in bench.receiver.notices if "fan-out" in str(n["subject"])]


async def nothing_was_asked(bench: Bench, run: RunRow, items: tuple[ItemRow, ...]) -> None:
    """Neither of a model, nor of a tool, nor of Prefect: counted at the far side and on the ledger."""
    rows = await bench.store.ledger(run=run.run)
    assert {r.place.owner for r in rows} == {run.run}, "only the heartbeat itself has done anything"
    for item in items:
        assert (item.status, item.flow_run, item.life) == ("kept_back", None, 0)
    with bench.settings():
        async with get_client() as client:
            made = await client.read_flow_runs()
    assert [r.name for r in made if r.parameters.get("item") in {i.item for i in items}] == []


async def once_more(bench: Bench, run: RunRow) -> str | None:
    """The heartbeat's flow run in its next life; the name of the state it ends in."""
    with bench.settings():
        async with get_client() as client:
            await client.set_flow_run_state(UUID(run.flow_run), Scheduled(), force=True)
        await bench.run_heartbeat(run)
        return (await bench._now(UUID(run.flow_run))).name


async def works_to_the_end(bench: Bench, run: RunRow) -> None:
    for item in await bench.store.items(run=run.run):
        state, after = await bench.work(item)
        assert (state.name, after.status) == ("Done", "done")
    closed = await bench.store.run(run.run)
    assert closed is not None
    assert closed.status == "closed"


async def test_a_fan_out_above_policy_stops_before_its_first_call(bench: Bench) -> None:
    await bench.begin("above", TICKETS, **MANY)
    await in_force(bench, "2")
    before, told = bench.bill()["calls"], len(notices(bench))
    state, run, items = await bench.heartbeat(TICKETS)
    assert (state.name, state.is_cancelled(), len(items)) == ("Fan out", True, 3)
    price = "3 items for at most 3.0000 USD (harness.max_cost_usd_per_run; no item of its past, 5 are needed)"
    assert state.message == items[0].stop.detail if items[0].stop else None
    assert f"kept back: {price}, above the 2 USD of rule 'at-once'" in str(state.message)
    heartbeat = [r for r in await bench.store.ledger(run=run.run) if r.kind == "model"]
    assert bench.bill()["calls"] - before == len(heartbeat)
    await nothing_was_asked(bench, run, items)

    assert notices(bench)[told:] == [f"{TICKETS}: a fan-out of 3 is kept back until you let it go"]
    page = await bench.store.state(TICKETS)
    assert page is not None
    assert f"## Kept back\n- The fan-out is kept back: {price}" in page.body
    listed = await bench.loops("inbox")
    assert [(i["status"], i["stop"]["reason"]) for i in listed] == [("kept_back", "fan_out")] * 3
    (waiting,) = await bench.loops("fanout", "list")
    assert (waiting["run"], waiting["expected_usd"], waiting["standing"]) == (
        run.run, "3", "kept back",
    )  # fmt: skip
    assert (await bench.loops("trace", run.run))["fan_out"] == waiting

    await bench.keep_house()
    await bench.keep_house(later_s=7200)
    assert await once_more(bench, run) == "Fan out"
    await nothing_was_asked(bench, run, await bench.store.items(run=run.run))
    assert bench.bill()["calls"] - before == len(heartbeat)
    assert len(notices(bench)) == told + 1, "a restart tells nobody again"

    done = await bench.loops(
        "fanout", "allow", run.run[:6], "--why", "all of them are real", "--as", "noor", "--yes"
    )
    assert (done["standing"], done["by"], done["dispatched"]) == ("let go", "claimed: noor", True)
    await works_to_the_end(bench, run)
    assert len(notices(bench)) == told + 1
    (said, *_) = [a for a in await bench.store.audit() if a["what"] == "fan-out allowed"]
    assert (said["who"], said["subject"]) == ("claimed: noor", run.run)
    assert said["detail"].endswith("all of them are real")


async def test_killed_behind_the_verdict_its_next_life_hands_out_nothing_whatever_the_rules_say_by_then(
    bench: Bench,
) -> None:
    await bench.begin("killed", TICKETS, **MANY)
    await in_force(bench, "2")
    told = len(notices(bench))

    def dies(point: str) -> None:
        if point == "after-found":
            raise RuntimeError("killed here")

    crash.listen(dies)
    try:
        state, run, items = await bench.heartbeat(TICKETS)
    finally:
        crash.listen(None)
    assert (state.is_failed() or state.is_crashed(), len(items)) == (True, 3)
    assert notices(bench)[told:] == []
    await bench.store.put_rules((), (), by="claimed: noor", now=2)
    before = bench.bill()["calls"]
    assert await once_more(bench, run) == "Fan out"
    await nothing_was_asked(bench, run, await bench.store.items(run=run.run))
    assert bench.bill()["calls"] == before
    assert len(notices(bench)[told:]) == 1


async def test_what_is_within_the_rule_goes_and_its_price_is_what_its_past_really_cost(
    bench: Bench,
) -> None:
    await bench.begin("past", TICKETS, **MANY)
    for _ in range(2):
        state, run, _ = await bench.heartbeat(TICKETS)
        assert state.name == "Done"
        await works_to_the_end(bench, run)
    ended = await bench.store.items(loop=TICKETS)
    costs = [sum(r.cost or 0 for r in await bench.store.ledger(item=i.item)) for i in ended]
    price = 3 * -(-sum(costs) // 6)
    assert price > 0
    micro = Decimal("0.000001")
    await in_force(bench, usd(price).quantize(micro) - micro)
    state, run, items = await bench.heartbeat(TICKETS)
    assert (state.name, len(items)) == ("Fan out", 3)
    (row,) = await bench.loops("fanout", "list")
    assert (row["rests_on"], row["past_items"]) == ("past", 6)
    assert Decimal(row["expected_usd"]) == usd(price)
    dropped = await bench.loops("fanout", "discard", run.run, "--why", "noise", "--yes")
    assert dropped["standing"] == "discarded"
    stops = [i.stop and i.stop.reason for i in await bench.store.items(run=run.run)]
    assert stops == ["rejected"] * 3
    assert await bench.loops("fanout", "list") == []

    await in_force(bench, usd(price).quantize(micro) + micro)
    state, run, _ = await bench.heartbeat(TICKETS)
    assert state.name == "Done"
    assert "mean of the last 6 items" in (await bench.loops("trace", run.run))["fan_out"]["told"]
    await works_to_the_end(bench, run)
