"""What is an agent told about its caps before its next step?

Once for each lane and cap, as a message that is journaled with the call it was said in: a later life is told the
same, whatever was spent meanwhile, and one that died in the middle of that call says it once more.
Source: docs/decisions/0012-what-is-told-is-on-record.md
"""

from governance.parts import Json
from governance.raises import told_of
from tasks.lane import Lane


async def tell(lane: Lane) -> None:
    """Say with the step at hand what was said with it before, or what there is to say now."""
    on_record = lane.job.args_of(lane.ask.key)
    told = on_record.get("told") if on_record is not None else await _now(lane)
    if told is not None:
        lane.tell(told)


async def _now(lane: Lane) -> Json | None:
    if not lane.hears:
        return None
    share = lane.job.loop.harness.wrap_up_at
    return told_of(await lane.job.caps(), share, lane.heard_of)
