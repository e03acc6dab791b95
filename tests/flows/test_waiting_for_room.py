"""A rule that rolls fills up: do items wait for it without a process, and are their calls made once, by a real worker?"""

from pathlib import Path

import pytest

from governance.budgets import BudgetRule
from governance.records import ItemRow
from tests.flows.arranging import file_tickets
from tests.flows.conftest import Worlds
from tests.flows.farside import bill, calls, processes_of, until
from tests.flows.registries import registry_with
from tests.flows.telling import told
from tests.flows.test_waiting import awake, held

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(1500)]

MANY = 4
ANSWERING = """\
name: answering
intent: No ticket goes without an answer.
owner: ines@northwind.example
team: support
model: claude-sonnet-4-6
instructions: tickets.md@v1
mcp_servers: {linear: [list_tickets, get_ticket, label_ticket, comment_ticket]}
find: {tool: linear.list_tickets, arguments: {state: new}, each: ticket, max_items: 50}
harness: {max_steps: 12}
"""
RATE = BudgetRule(name="rate", calls=5, per="90s", loop="answering", model="claude-*")
BUDGET = "rule:rate/all:calls"


async def test_items_that_wait_for_room_hold_no_process_no_place_and_no_money_and_all_end(
    tmp_path: Path, worlds: Worlds
) -> None:
    registry = registry_with(tmp_path / "registry", [("answering", ANSWERING)])
    world = worlds(registry=registry, limit=MANY)
    file_tickets(world, MANY)
    with told(world, "answering") as story:
        await story.store.put_rules((RATE,), (), by="claimed: noor", now=1)
        found = await story.fire(300)
        assert len(found) == MANY

        async def rest_waits() -> list[ItemRow] | None:
            rest = list(await story.store.items(loop="answering", open_only=True))
            waits = [b for i in rest if i.status == "waiting" and i.waits for b in i.waits.budgets]
            idle = not awake(world, rest) and not any(processes_of(str(i.flow_run)) for i in rest)
            return rest if idle and len(rest) > 1 and waits == [BUDGET] * len(rest) else None

        async def all_ended() -> list[ItemRow] | None:
            items = list(await story.store.items(loop="answering"))
            return items if all(i.status in ("done", "stopped") for i in items) else None

        await until("items that all wait, without a process", rest_waits, 300)
        assert held(world) == (0, 0)
        items = await until("the end of all", all_ended, 1100)
        assert {(i.status, i.stop, i.waits) for i in items} == {("done", None, None)}
        assert max(window.spent for window in await story.store.windows(BUDGET)) <= RATE.cap
        made = await story.store.ledger(run=items[0].run)
        assert {(r.status, r.attempt) for r in made} == {("done", 1)}
        billed = bill(world)
        assert billed["cost_pico_usd"] == sum(r.cost or 0 for r in made)
        assert billed["calls"] == len([r for r in made if r.kind == "model"])
        for tool in ("label_ticket", "comment_ticket"):
            assert len(calls(world, connector="linear", tool=tool)) == MANY
