"""A loop fires by itself when its file says so, and its slot is the schedule's moment, not the process's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from governance.records import RunRow
from tests.flows.conftest import Worlds
from tests.flows.farside import bill, until
from tests.flows.registries import registry_with
from tests.flows.telling import told

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(420)]

EVERY_MINUTE = """\
name: every-minute
intent: No merged pull request goes unseen.
owner: noor@northwind.example
team: platform
model: claude-sonnet-4-6
instructions: triage.md@v4
mcp_servers: {github: [list_pull_requests]}
find: {tool: github.list_pull_requests, arguments: {state: merged}, each: pull-request}
trigger: {schedule: "* * * * *", timezone: Europe/Berlin}
"""


async def test_a_schedule_fires_the_heartbeat_and_its_slot_is_the_schedules_moment(
    tmp_path: Path, worlds: Worlds
):
    registry = registry_with(tmp_path / "registry", [("every-minute", EVERY_MINUTE)])
    began = datetime.now(UTC)
    world = worlds(registry=registry)
    with told(world, "every-minute") as story:

        async def two() -> tuple[RunRow, ...] | None:
            runs = await story.store.runs(loop="every-minute")
            closed = tuple(r for r in runs if r.status == "closed")
            return closed if len(closed) >= 2 else None

        runs = await until("two firings", two, 300)
        for run in runs:
            fired = story.api.flow_run(run.flow_run)
            slot = datetime.fromisoformat(run.slot)
            assert fired["auto_scheduled"] is True
            assert slot == datetime.fromisoformat(fired["expected_start_time"])
            assert (slot.second, slot.microsecond) == (0, 0)
            assert began <= slot <= datetime.now(UTC)
            assert run.slot == slot.strftime("%Y-%m-%dT%H:%M:%SZ")
            assert (run.summary, run.stop) == ("0 found", None)
        slots = sorted(datetime.fromisoformat(r.slot) for r in runs)
        assert len(set(slots)) == len(slots)
        assert (slots[1] - slots[0]) % timedelta(minutes=1) == timedelta(0)
        assert bill(world)["calls"] == 0
