"""Compare the ledger with the provider's usage report, and show in Prefect what came of it."""

from prefect import task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from blocks.usage_report import USAGE_REPORT
from governance.parts import usd
from governance.reconcile import Compared
from tasks.bills import HOUR_MS, due_days, reconcile_days
from tasks.housekeeping import Held, told
from tasks.world import World, now_ms

TABLE_KEY = "loops-reconciliation"
BY = "reconciliation"


async def reconcile_bill(world: World) -> None:
    """The final days of the provider's report; nothing where no report is connected."""
    await _reconcile_bill(Held(world))


@task(name="reconcile_bill", task_run_name="compare with the bill", cache_policy=NO_CACHE, persist_result=False)  # fmt: skip
async def _reconcile_bill(held: Held) -> State[None]:
    world, now = held.world, now_ms()
    try:
        api, hours = await world.usage_report()
    except ValueError:
        return told([f"no report is connected as block {USAGE_REPORT!r}: nothing is compared"])
    delay_ms = hours * HOUR_MS
    days = await due_days(world.store, now=now, delay_ms=delay_ms)
    report = await api.report(days, now=now)
    found = await reconcile_days(
        world.store,
        report,
        days,
        book=world.edge.book,
        delay_ms=delay_ms,
        by=BY,
        now=now,
        dry=False,
    )
    rows = [line(one) for one in found]
    await acreate_table_artifact(
        rows, key=TABLE_KEY, description="Ledger and bill, by model and UTC day."
    )
    return told(
        [
            f"{one.model} {days_told(one)}: {one.state}, {one.why}"
            for one in found
            if one.state != "equal"
        ]
    )


def days_told(one: Compared) -> str:
    """The days it is about."""
    first, last = (day.isoformat() for day in one.days)
    return first if first == last else f"{first} to {last}"


def line(one: Compared) -> dict[str, str]:
    """One row of a table for people."""
    return {
        "model": one.model,
        "UTC day": days_told(one),
        "state": one.state,
        "settled USD": f"{usd(one.settled_usd + one.resolved_usd):f}",
        "billed USD": "-" if one.billed.usd is None else f"{usd(one.billed.usd):f}",
        "unexplained USD": "-" if one.off_usd is None else f"{usd(one.off_usd):+f}",
        "unexplained tokens": "-" if one.off is None else f"{one.off.total:+,}",
        "resolved": f"{len(one.shares):,} of {one.unknown:,}",
        "why": one.why,
    }
