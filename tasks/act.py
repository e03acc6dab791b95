"""Make the calls of one answer: each once, in the model's order, those that need nobody first."""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import TypeVar, cast

from governance.conversation import ToolCall, ToolResult
from governance.effects import Kind, Place, Stop
from tasks.desk import use_workspace
from tasks.gate import Proposal, pass_gate, put, refuse, result_of
from tasks.job import current
from tasks.lane import Lane
from tasks.perform import effect, perform
from tasks.step import Came, Step, Waiting
from tasks.world import now_ms

T = TypeVar("T")
Outcome = ToolResult | Waiting | Stop


@effect("act")
async def _act(step: Step) -> Came:
    job = current()
    lane = cast(Lane, job.asking[step.key])
    outcomes = await _all_calls(lane)
    if stop := next((o for o in outcomes if isinstance(o, Stop)), None):
        return stop
    if waiting := [o.what for o in outcomes if isinstance(o, Waiting)]:
        return Waiting("; ".join(waiting))
    texts = [cast(ToolResult, o).text for o in outcomes]
    recorded = await job.world.store.record(
        step.place, kind="step", name="act", head=lane.head, head_after=lane.head, args={},
        result={"results": len(texts)}, labels=(), fence=job.fence, now=now_ms(),
    )  # fmt: skip
    return job.took(step, recorded)


async def act(lane: Lane) -> Waiting | Stop | None:
    """Make the calls of the answer at hand and fold in what they came to; None when all is in."""
    if came := await perform(_act, lane.acts, lane):
        return came
    keys = (lane.place(n).key for n in range(1, len(lane.calls) + 1))
    lane.saw(tuple(result_of(lane.job, key, lane.head) for key in keys))
    return None


async def _all_calls(lane: Lane) -> Sequence[Outcome]:
    """Connectors' calls run side by side; the workspace is one place, so its calls run one by one."""
    calls = list(enumerate(lane.calls, 1))
    desk = [(n, c) for n, c in calls if c.name.startswith("workspace__")]
    others = [(n, c) for n, c in calls if not c.name.startswith("workspace__")]

    async def at_the_desk() -> list[Outcome]:
        made: list[Outcome] = []
        for n, call in desk:
            # One that waits holds up those behind it: they are about what it does.
            waits = bool(made) and isinstance(made[-1], Waiting)
            made.append(made[-1] if waits else await use_workspace(lane, lane.place(n), call))
        return made

    done = await join([at_the_desk(), *(_one(lane, lane.place(n), call) for n, call in others)])
    by_ordinal = dict(zip((n for n, _ in desk), cast(list[Outcome], done[0]), strict=True))
    by_ordinal |= dict(zip((n for n, _ in others), cast(list[Outcome], done[1:]), strict=True))
    return [by_ordinal[n] for n, _ in calls]


async def join(work: Iterable[Awaitable[T]]) -> list[T]:
    """Wait for all of them, then raise the first failure: nothing is left running behind a suspension."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast(list[T], done)


async def _one(lane: Lane, place: Place, call: ToolCall) -> Outcome:
    connector, _, tool = call.name.partition("__")
    proposal = Proposal(
        place=place,
        by=lane.seat.principal(lane.job.loop),
        grants=lane.seat.grants,
        connector=connector,
        tool=tool,
        arguments=call.arguments,
        head=lane.head,
    )
    if call.name == "skill__read" and lane.seat.skills:
        return await _skill(lane, proposal)
    if place.ordinal in lane.delegated:
        return await _delegated(lane, proposal)
    if not tool or connector not in lane.job.world.registry.organisation.connectors:
        return await refuse(lane.job, proposal, "unknown tool", f"there is no tool {call.name!r}")
    return await pass_gate(lane.job, proposal)


async def _skill(lane: Lane, p: Proposal) -> ToolResult:
    wanted = str(p.arguments.get("name"))
    body = lane.seat.skills.get(wanted)
    if body is None:
        have = ", ".join(sorted(lane.seat.skills))
        return await refuse(lane.job, p, "skills", f"there is no skill {wanted!r}, only {have}")
    return await _told(lane, p, "tool", ToolResult(body))


async def _delegated(lane: Lane, p: Proposal) -> Outcome:
    answer = lane.delegated[p.place.ordinal]
    return (
        Waiting(f"{p.tool or p.connector} waits")
        if answer is None
        else await _told(lane, p, "delegate", answer)
    )


async def _told(lane: Lane, p: Proposal, kind: Kind, result: ToolResult) -> ToolResult:
    return await put(lane.job, p, kind, lane.job.world.screen.json(vars(result)))
