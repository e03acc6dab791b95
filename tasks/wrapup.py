"""What is an agent told about its caps before its next step?

Once for each lane and cap, as a message that is journaled with the call it was said in: a later life is told the
same, whatever was spent meanwhile, and one that died in the middle of that call says it once more.
Source: docs/decisions/0012-what-is-told-is-on-record.md
"""

from governance.caps import MINUTE, told_of
from governance.parts import Json
from tasks.lane import Lane
from tasks.world import now_ms


async def tell(lane: Lane) -> None:
    """Say with the step at hand what was said with it before, or what there is to say now."""
    on_record = lane.job.args_of(lane.ask.key)
    told = on_record.get("told") if on_record is not None else await _now(lane)
    if told is not None:
        lane.tell(told)


async def _now(lane: Lane) -> Json | None:
    job = lane.job
    if not lane.hears:
        return None
    harness = job.loop.harness
    budgets = await job.world.store.caps(
        job.run, job.owner, awake_limit_ms=harness.max_minutes * MINUTE, now=now_ms()
    )
    return told_of(budgets, harness.wrap_up_at, lane.heard_of)
