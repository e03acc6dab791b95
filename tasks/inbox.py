"""Find what there is to do, and put what is new in the inbox."""

from dataclasses import dataclass

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from governance.ceilings import ceilings
from governance.conversation import EMPTY_HEAD
from governance.effects import Stop
from governance.evidence import FoundItems
from governance.limits import item_budgets
from governance.parts import short_id
from governance.records import Finding, ItemRow
from governance.seats import loop_principal
from tasks.gate import Proposal, pass_gate, result_of
from tasks.job import Job, current
from tasks.lane import Said
from tasks.perform import effect, perform
from tasks.step import Came, Step, Waiting
from tasks.world import now_ms


@effect("look")
async def _look(step: Step) -> Came:
    job = current()
    find = job.loop.find
    assert find is not None
    connector, _, tool = find.tool.partition(".")
    outcome = await pass_gate(
        job,
        Proposal(
            place=step.place,
            by=loop_principal(job.loop),
            grants=job.loop.mcp_servers,
            connector=connector,
            tool=tool,
            arguments=find.arguments,
        ),
    )
    assert not isinstance(outcome, Waiting), "a heartbeat waits for nobody"
    return outcome if isinstance(outcome, Stop) else None


async def look(job: Job) -> str | Stop | None:
    """The cheap look: what the loop's `find` tool sees, None when there is nothing or none. No model is asked."""
    if job.loop.find is None:
        return None
    step = Step(job.place(0, "look", 0, 0), "look for work")
    if came := await perform(_look, step):
        assert isinstance(came, Stop), "a heartbeat waits for nobody"
        return came
    seen = result_of(job, step.key, EMPTY_HEAD)
    if seen.is_error:
        return Stop("unavailable", f"the look for work failed: {seen.text}")
    return None if seen.data in ([], {}) or not seen.text.strip() else seen.text


def findings_in(said: Said) -> tuple[Finding, ...] | Stop:
    """The lead's answer as findings, or the stop that it does not follow the schema."""
    try:
        found = FoundItems.model_validate_json(said.text)
    except ValidationError as error:
        return Stop(
            "malformed", f"the findings do not follow the schema: {error.error_count()} problems"
        )
    return tuple(Finding(f.dedupe, f.title, f.brief, f.reproduce) for f in found.findings)


def whole_loop(job: Job, brief: str) -> tuple[Finding, ...]:
    """The one finding of a loop that has no look of its own; while it is open, nothing else is."""
    return (Finding(job.loop.name, job.loop.intent or job.loop.name, brief),)


@dataclass(frozen=True)
class _Findings:
    every: tuple[Finding, ...]
    summary: str


async def put_in_inbox(job: Job, findings: tuple[Finding, ...]) -> tuple[ItemRow, ...] | Stop:
    """T2: the findings that are new, and their dispatch, in one transaction; nothing once it was called off.

    A stop when they are kept back: all together they cost more than a rule lets a heartbeat hand out.
    """
    run = await job.world.store.run(job.run)
    if run is not None and run.stop is not None:
        return run.stop
    limit = job.loop.find.max_items if job.loop.find else 1
    kept_now = findings[:limit]
    left = len(findings) - len(kept_now)
    summary = f"{len(kept_now)} found" + (f", {left} left for next time" if left else "")
    items = await _found(len(kept_now), _Findings(kept_now, summary))
    return next((i.stop for i in items if i.status == "kept_back" and i.stop), items)


@task(
    name="found",
    task_run_name="put {count} in the inbox",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def _found(count: int, findings: _Findings) -> tuple[ItemRow, ...]:
    job, now = current(), now_ms()
    return await job.world.store.found(
        job.run,
        tuple((short_id("i", job.loop.name, f.dedupe, job.run), f) for f in findings.every),
        definition=job.definition,
        budgets=item_budgets(job.loop, job.run),
        state=None,
        summary=findings.summary,
        now=now,
        owner=job.loop.owner,
        team=job.loop.team,
        ceilings=ceilings(job.pinned, job.world.edge.book, now),
    )
