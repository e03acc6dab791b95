"""Bring the lake up to date with the ledger, and show in Prefect what the loops cost."""

import asyncio
from collections.abc import Mapping
from typing import Any

from prefect import task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.cache_policies import NO_CACHE

from analytics.cost import LABEL, CostReport, cost_report, money, shared
from analytics.export import Exported, export
from analytics.lake import Lake, lake_dir
from governance.approvals import inline
from tasks.world import World

TABLE_KEY = "loops-cost"
REPORT_KEY = "loops-cost-report"


async def export_ledger(world: World) -> Exported:
    """What is settled since the last export, as files of the lake."""
    return await _export_ledger(_Held(world))


async def publish_costs() -> CostReport:
    """The cost by loop as two artifacts: a table, and a page to read."""
    return await _publish_costs()


class _Held:
    """Carries the world into a task run: Prefect looks into arguments, and has no business in this one."""

    def __init__(self, world: World) -> None:
        self.world = world


@task(name="export_ledger", cache_policy=NO_CACHE, persist_result=False)
async def _export_ledger(held: _Held) -> Exported:
    return await export(held.world.store, Lake(lake_dir()))


@task(name="publish_costs", cache_policy=NO_CACHE, persist_result=False)
async def _publish_costs() -> CostReport:
    report = await asyncio.to_thread(cost_report, Lake(lake_dir()), "loop")
    lines = [_line(row, str(row["key"])) for row in report.rows] + [_line(report.total, "total")]
    await acreate_table_artifact(lines, key=TABLE_KEY, description=f"Cost by loop, {LABEL}.")
    await acreate_markdown_artifact(_page(report, lines), key=REPORT_KEY)
    return report


def _line(row: Mapping[str, Any], name: str) -> dict[str, str]:
    each, amount = row["cost_per_accepted_usd"], row["cost_usd"]
    return {
        "loop": name,
        "cost USD": "unknown" if amount is None else money(amount),
        "model calls": f"{row['model_calls']:,}",
        "unpriced": f"{row['unpriced_calls']:,}",
        "undeclared": f"{row['undeclared_calls']:,}",
        "unknown": f"{row['unknown_calls']:,}",
        "accepted": f"{row['accepted']:,}",
        "USD per accepted": "none" if each is None else money(shared(each)),
    }


def _page(report: CostReport, lines: list[dict[str, str]]) -> str:
    head = list(lines[0])
    table = [
        head,
        ["---"] * len(head),
        *([inline(cell) for cell in line.values()] for line in lines),
    ]
    rows = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return "\n\n".join((f"## Cost by loop, {LABEL}", rows, *report.remarks))
