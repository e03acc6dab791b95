"""Told to wrap up, capped, raised, resumed: is nothing wasted, as counted at the far side?"""

from collections.abc import Iterator
from typing import Any

import pytest

from governance.parts import Json
from governance.records import ItemRow
from tasks.world import now_ms
from tests.flows.bench import Bench
from tests.flows.farside import requests, spoken

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS, FIX = "ticket-triage", "night-fix"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("raises")) as running:
        yield running


async def one_item(bench: Bench, loop: str) -> ItemRow:
    _, _, (item,) = await bench.heartbeat(loop)
    return await bench.item(item)


async def raised(bench: Bench, budget: str, to: str, *more: str) -> Json:
    words = ("--why", "nearly there", "--as", "noor", "--yes")
    return await bench.loops("budget", "raise", budget, "--to", to, *words, *more)


def told(bench: Bench, item: ItemRow, words: str) -> list[int]:
    """How often each of the run's requests for its item says these words, oldest first."""
    return [spoken(r).count(words) for r in requests(bench, item.run) if "tools" in r and _of(r)]


def _of(request: Json) -> bool:
    return "output_config" not in request


async def test_an_item_that_was_capped_goes_on_at_its_next_step_and_nothing_is_paid_twice(
    bench: Bench,
) -> None:
    await bench.begin(
        "steps", TICKETS, **ONE, play={"tickets/v1": "read-on"},
        harness={"max_steps": 4, "wrap_up_at": 0.5},
    )  # fmt: skip
    found = await one_item(bench, TICKETS)
    charged, reads = bench.bill(), len(bench.calls("get_ticket"))
    state, item = await bench.work(found)
    assert (state.name, item.stop and item.stop.reason) == ("Steps", "steps")
    cap = f"item:{item.item}:steps"
    assert item.stop is not None
    assert f"`loops budget raise {cap}`" in item.stop.detail
    assert told(bench, item, "of this item's 4 steps are left") == [0, 0, 1, 1]

    done = await raised(bench, cap, "20")
    assert (done["before"]["cap"], done["after"]["cap"]) == (4, 20)
    assert (done["resumed"], done["dispatched"]) == ([item.item], True)
    opened = await bench.item(item)
    assert (opened.status, opened.stop) == ("found", None)
    assert opened.flow_run not in (None, found.flow_run)
    run = await bench.store.run(item.run)
    assert run is not None
    assert (run.status, run.open_items) == ("open", 1)

    state, item = await bench.work(opened)
    assert (state.name, item.status) == ("Done", "done")
    assert item.outcome is not None
    assert item.outcome["claims"] == "I read it 8 times."
    assert len(await bench.paid_once(item, charged)) == 9
    assert len(bench.calls("get_ticket")) - reads == 8
    assert told(bench, item, "A person has raised a limit") == [0] * 4 + [1] * 5
    assert told(bench, item, "of this item's 4 steps are left") == [0, 0] + [1] * 7
    run = await bench.store.run(item.run)
    assert run is not None
    assert run.status == "closed"
    shown = await bench.loops("budget", "show", cap)
    (row,) = shown["raises"]
    assert (row["by"], row["why"], row["base"], row["cap"]) == (
        "claimed: noor", "nearly there", 4, 20,
    )  # fmt: skip
    assert (shown["spent"], shown["held"], shown["left"]) == (9, 0, 11)


async def test_money_that_ran_out_is_raised_for_the_whole_run(bench: Bench) -> None:
    await bench.begin(
        "cost", TICKETS, **ONE, play={"tickets/v1": "read-on"},
        harness={"max_steps": 60, "max_output_tokens": 600, "max_cost_usd_per_run": 0.05},
    )  # fmt: skip
    found = await one_item(bench, TICKETS)
    charged = bench.bill()["cost_pico_usd"]
    state, item = await bench.work(found)
    assert (state.name, item.stop and item.stop.reason) == ("Cost", "cost")
    paid = await bench.ledger(item, "model")
    done = await raised(bench, f"run:{item.run}:usd", "3", "--until", "12h")
    assert done["resumed"] == [item.item]
    assert done["raise"]["until"] is not None
    state, item = await bench.work(item)
    assert state.name == "Done"
    rows = await bench.ledger(item, "model")
    assert rows[: len(paid)] == paid, "what was paid for stands as it was"
    assert bench.bill()["cost_pico_usd"] - charged == sum(r.cost or 0 for r in rows)


async def test_awake_minutes_are_raised_too(bench: Bench) -> None:
    await bench.begin("minutes", TICKETS, **ONE, harness={"max_minutes": 1})
    found = await one_item(bench, TICKETS)
    now = now_ms()
    await bench.store.claim(
        found.item, flow_run=str(found.flow_run), now=now - 120_000, lease=now, max_lives=10
    )
    state, item = await bench.work(found)
    assert (state.name, await bench.ledger(item)) == ("Minutes", [])
    done = await raised(bench, f"item:{item.item}:minutes", "30")
    assert (done["before"]["cap"], done["after"]["cap"]) == (1.0, 30.0)
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Done", "done")


async def test_what_an_agent_was_told_is_told_again_in_its_next_life_whatever_was_raised_meanwhile(
    bench: Bench,
) -> None:
    await bench.begin(
        "told", TICKETS, **ONE, play={"tickets/v1": "heed"},
        harness={
            "max_steps": 6, "wrap_up_at": 0.5, "approvals": {"linear.label_ticket": "pause_for_human"},
        },
    )  # fmt: skip
    state, item = await bench.work(await one_item(bench, TICKETS))
    assert state.is_paused()
    assert len(await bench.ledger(item, "model")) == 4
    done = await raised(bench, f"item:{item.item}:steps", "40")
    assert done["resumed"] == [], "it waits for a person, and goes on by their word"
    (card,) = await bench.store.cards(item=item.item)
    form = {f"card_{card.card}": "approve", "approver": "noor", "reason": ""}
    assert bench.api.resume(str(item.flow_run), form)["status"] == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.name, item.stop) == ("Done", None)
    assert item.outcome is not None
    assert item.outcome["claims"].startswith("I was told: A person has raised a limit: 36 of")
    assert told(bench, item, "3 of this item's 6 steps are left") == [0, 0, 0, 1, 1]
    assert len(await bench.ledger(item, "model")) == 5


async def test_a_delegate_that_was_capped_goes_on_too_and_its_lead_is_told_nothing_of_it(
    bench: Bench,
) -> None:
    await bench.begin(
        "delegates", TICKETS, **ONE, harness={"max_steps": 4},
        play={"tickets/v1": "hand-out", "draft/v2": "say-so", "review/v1": "say-so"},
        subagents=[
            {"name": "writer", "instructions": "draft.md@v2", "mcp_servers": {"linear": ["get_ticket", "comment_ticket"]}},
            {"name": "reader", "instructions": "review.md@v1", "mcp_servers": {"linear": ["get_ticket", "comment_ticket"]}},
        ],
    )  # fmt: skip
    found = await one_item(bench, TICKETS)
    charged = bench.bill()["calls"]
    state, item = await bench.work(found)
    assert (state.name, item.stop and item.stop.reason) == ("Steps", "steps")
    assert not [e for e in await bench.store.entries(item.item) if e.kind == "delegate"]
    await raised(bench, f"item:{item.item}:steps", "40")
    state, item = await bench.work(item)
    assert (state.name, item.status) == ("Done", "done")
    rows = await bench.ledger(item, "model")
    assert bench.bill()["calls"] - charged == len(rows) == 9
    assert {r.attempt for r in rows} == {1}
    assert item.outcome is not None
    assert "stopped" not in item.outcome["claims"]


@pytest.mark.docker
async def test_a_maker_goes_on_from_the_tree_it_was_capped_at(bench: Bench) -> None:
    await bench.begin("tree", FIX, harness={"max_steps": 5})
    found = await one_item(bench, FIX)
    charged = bench.bill()["calls"]
    state, item = await bench.work(found)
    assert (state.name, item.stop and item.stop.reason) == ("Steps", "steps")
    assert told(bench, item, "1 of this item's 5 steps are left") == [0, 0, 0, 0, 1]
    edits = [r for r in await bench.ledger(item) if r.name == "workspace.edit"]
    assert len(edits) == 1, "the mistake is mended, and nobody has seen it pass"
    assert item.state is not None
    await raised(bench, f"item:{item.item}:steps", "60")
    assert (await bench.item(item)).state == item.state
    state, item = await bench.work(item)
    assert state.is_paused()
    (card,) = await bench.store.cards(item=item.item)
    assert card.tool == "github.merge_pull_request"
    rows = await bench.ledger(item)
    assert [r for r in rows if r.name == "workspace.edit"] == edits
    paid = [r for r in rows if r.kind == "model"]
    assert bench.bill()["calls"] - charged == len(paid) == 8
    assert {r.attempt for r in rows} == {1}
