"""Fifty items wait for people, and cost nothing meanwhile: no process, no box, no place in the pool, no hold."""

import sqlite3
from pathlib import Path

import httpx
import pytest

from demo.world import DemoWorld
from governance.records import ItemRow
from tests.flows.arranging import file_tickets
from tests.flows.conftest import Worlds
from tests.flows.farside import boxes, ended, flow_runs, processes_of, until
from tests.flows.registries import registry_with
from tests.flows.telling import told

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(1800)]

MANY = 50
ASKING = """\
name: asking
intent: No ticket is labelled unseen.
owner: ines@northwind.example
team: support
model: claude-sonnet-4-6
instructions: tickets.md@v1
mcp_servers: {linear: [list_tickets, get_ticket, label_ticket]}
find: {tool: linear.list_tickets, arguments: {state: new}, each: ticket, max_items: 50}
harness:
  max_steps: 12
  max_cost_usd_per_run: 25
  max_tokens_per_run: 5_000_000
  max_output_tokens: 60_000
  approvals: {linear.label_ticket: pause_for_human}
"""


def awake(world: DemoWorld, items: list[ItemRow]) -> int:
    """How many of the items' flow runs hold a place in the work pool."""
    user, _, password = world.keys.prefect.partition(":")
    wanted = {
        "flow_runs": {
            "id": {"any_": [str(i.flow_run) for i in items]},
            "state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}},
        }
    }
    answer = httpx.post(
        f"{world.api_url}/flow_runs/count", json=wanted, auth=(user, password), timeout=30
    )
    return int(answer.raise_for_status().json())


def held(world: DemoWorld) -> tuple[int, int]:
    """Charges that are only held, and what all budgets hold together."""
    with sqlite3.connect(world.home / "store.db") as db:
        (charges,) = db.execute("SELECT count(*) FROM charges WHERE status = 'held'").fetchone()
        (amount,) = db.execute("SELECT coalesce(sum(held), 0) FROM budgets").fetchone()
    db.close()
    return charges, amount


async def test_fifty_items_that_wait_hold_no_process_no_box_no_place_and_no_money(
    tmp_path: Path, worlds: Worlds
) -> None:
    registry = registry_with(tmp_path / "registry", [("asking", ASKING)])
    world = worlds(registry=registry, limit=4)
    file_tickets(world, MANY)
    with told(world, "asking") as story:
        found = await story.fire(300)
        assert len(found) == MANY

        async def all_wait() -> list[ItemRow] | None:
            rows = list(await story.store.items(loop="asking"))
            return rows if all([r.status == "waiting" for r in rows]) else None

        items = await until("fifty waiting items", all_wait, 1500)
        kept = flow_runs(world, "housekeeping/housekeeping")
        assert [r for r in kept if r["state_type"] == "COMPLETED"], "it did not queue behind them"
        await until("fifty forms", lambda: all(story.api.form(str(i.flow_run)) for i in items), 120)
        await until(
            "no process of any", lambda: not any(processes_of(str(i.flow_run)) for i in items), 60
        )
        assert awake(world, items) == 0
        assert boxes(world) == []
        assert held(world) == (0, 0)
        rows = [r for i in items for r in await story.store.ledger(item=i.item)]
        assert {r.status for r in rows} == {"done"}
        assert sum(r.cost or 0 for r in rows) > 0

        item = items[0]
        story.approve(item, await story.cards((item,)))
        item = await ended(story, item)
        assert (item.status, item.stop) == ("done", None)
