"""Say how it ended: to the store, to people, and as the state Prefect shows."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import acreate_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Cancelled, Completed, Failed

from governance.approvals import inline
from governance.effects import BY_PEOPLE, NO_PRICE, Evidence, Stop
from governance.parts import Json, usd
from governance.statepage import outcome_of
from tasks.breaker import weigh
from tasks.endings import acted, so_far
from tasks.job import Job
from tasks.life import close
from tasks.meter import show_meter
from tasks.outbox import drain
from tasks.waking import changes_of
from tasks.world import now_ms


def ended(stop: Stop) -> State[Any]:
    """The state of a flow run that a stop ended: never Completed, and named by its reason."""
    name = stop.reason.replace("_", " ").capitalize()
    kind = Cancelled if stop.reason in BY_PEOPLE else Failed
    return kind(name=name, message=stop.detail)


async def amounts_to(
    job: Job, evidence: Sequence[Evidence], links: Mapping[str, object], claims: str
) -> Json:
    """What an item amounted to: evidence and actions as the store has them, an agent's words as its claims."""
    return outcome_of(
        evidence=[f"{e.kind}: {e.verdict} by {e.by} about {e.tree[:12]}" for e in evidence],
        actions=await acted(job.world, job.owner),
        claims=claims,
        links=links,
    )


async def finish(job: Job, outcome: Json | Stop) -> State[Any]:
    """Close the item, send what is due, and show what it cost and came to."""
    stop = outcome if isinstance(outcome, Stop) else None
    kept = await so_far(job.world, job.owner) if isinstance(outcome, Stop) else outcome
    await close(job, kept, stop)
    await weigh(job.world, job.loop)
    await drain(job.world)
    await _artifact(job, stop.detail if stop else "Done.", kept)
    await show_meter(job.world, loop=job.loop.name, run=job.run)
    return ended(stop) if stop else Completed(name="Done", message=done_means(job))


def done_means(job: Job) -> str:
    """What "done" says of this loop, and no more."""
    return (
        "verified, accepted, delivered"
        if job.loop.goal
        else "the lead has ended; nothing was verified"
    )


async def report(job: Job, found: int, stop: Stop | None) -> State[Any]:
    """End a heartbeat: hand out what was found, or close the run that found nothing.

    The run of a fan-out that is kept back has items, and stays open.
    """
    if stop:
        await job.world.store.end_run(job.run, stop=stop, now=now_ms())
    await drain(job.world)
    await _artifact(job, stop.detail if stop else await _handed_out(job, found), {})
    await show_meter(job.world, loop=job.loop.name, run=job.run)
    return ended(stop) if stop else Completed(name="Done", message=f"{found} put in the inbox")


async def _handed_out(job: Job, found: int) -> str:
    fan_out = await job.world.store.fan_out(job.run)
    return f"{found} put in the inbox" + (f": {fan_out.told}." if fan_out else ".")


async def _artifact(job: Job, headline: str, outcome: Json) -> None:
    store = job.world.store
    rows = await (store.ledger(item=job.owner) if job.item else store.ledger(run=job.run))
    paid = sum(r.cost or 0 for r in rows)
    unpriced = sum(r.cost_status in NO_PRICE for r in rows)
    lines = [
        f"## {inline(job.loop.name)}",
        inline(headline),
        f"Cost: **{usd(paid):.6f} USD**, computed, not reconciled"
        + (f"; {unpriced} calls without a price" if unpriced else ""),
        *(
            f"- {inline(str(fact))}"
            for fact in (*outcome.get("evidence", ()), *outcome.get("actions", ()))
        ),
        *(f"- changed while it waited: {inline(change)}" for change in changes_of(job)),
    ]
    await acreate_markdown_artifact("\n\n".join(lines), key=f"report-{job.owner}")
