"""Ask the model of a lane: once per step, whatever happens."""

from typing import cast

from governance.briefs import compaction_brief
from governance.conversation import ModelRequest, Reply, ToolSpec, user
from governance.effects import Stop
from governance.errors import DriverError, Unknown
from governance.evidence import wire_schema
from governance.failures import ended_by
from governance.parts import canonical
from governance.policy import granted, may_read_only, traits
from governance.seats import house_tools
from tasks.job import current
from tasks.lane import Lane
from tasks.perform import effect, perform
from tasks.step import Came, Step, Waiting
from tasks.wayout import of_model
from tasks.wrapup import tell

MODEL_TIMEOUT_S = 600.0
COMPACT_AT = 0.75
"""Share of the context that may be full before it is compacted; the rest must hold the answer."""
BYTES_PER_TOKEN = 3
"""A cautious guess for what was said since the last answer, whose own count is exact."""


@effect("call_model")
async def _call_model(step: Step) -> Came:
    job = current()
    lane = cast(Lane, job.asking[step.key])
    seat, entry = lane.seat, job.pinned.models[lane.seat.model]
    compacts = step != lane.ask
    request = ModelRequest(
        model=entry.model,
        system=seat.system,
        messages=(*lane.messages, user(compaction_brief())) if compacts else lane.messages,
        tools=await offered(lane),
        max_tokens=min(job.loop.harness.max_output_tokens, entry.max_output_tokens),
        schema=wire_schema(lane.schema) if lane.schema and not compacts else None,
        metadata={"run": job.run, "loop": job.loop.name, "agent": seat.agent, "role": seat.role},
    )
    intent = job.intent(
        step.place,
        "model",
        seat.model,
        by=seat.principal(job.loop),
        rule="the loop names this model",
        args={"purpose": "compact"} if compacts else lane.telling,
        repeatable=True,
        timeout_s=MODEL_TIMEOUT_S,
        head=lane.head,
        attributes={
            "gen_ai.request.model": entry.model,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.conversation.compacted": compacts,
        },
    )
    with of_model(entry.provider):
        outcome = await job.world.edge.model(
            await job.world.model(entry.provider),
            request,
            intent,
            timeout_s=MODEL_TIMEOUT_S,
        )
    return job.took(step, outcome)


async def call_model(lane: Lane) -> Reply | Waiting | Stop:
    """The answer to what was said so far, or why there is none. Compacts first when the context is full."""
    if _full(lane):
        step = Step(lane.place(0), f"{lane.seat.agent} compacts its context")
        if came := await _ask(lane, step) or lane.compacted(step.key):
            return came
    await tell(lane)
    step = lane.ask
    return await _ask(lane, step) or lane.heard(step.key)


async def _ask(lane: Lane, step: Step) -> Came:
    return await perform(_call_model, step, lane, ended=_ended)


def _ended(error: DriverError, now: int) -> Stop:
    return Stop("malformed", str(error)) if isinstance(error, Unknown) else ended_by(error, now)


def _full(lane: Lane) -> bool:
    if not lane.last or len(lane.messages) < 3:
        return False
    entry = lane.job.pinned.models[lane.seat.model]
    since = canonical(lane.messages[-1])
    expected = lane.last.usage.total + len(since.encode()) // BYTES_PER_TOKEN
    return expected > entry.context_tokens * COMPACT_AT


async def offered(lane: Lane) -> tuple[ToolSpec, ...]:
    """The tools a seat is offered: ours, and of its connectors those it is granted and could ever use."""
    job = lane.job
    offered = list(house_tools(lane.seat))
    reads_only = may_read_only(lane.seat.role, heartbeat=job.item is None)
    for name in lane.seat.grants:
        for spec in await job.tools(name):
            label = job.world.registry.organisation.labels(f"{name}.{spec.name}")
            if granted(lane.seat.grants, name, spec.name) and (
                traits(spec, label).read_only or not reads_only
            ):
                offered.append(
                    ToolSpec(wire_name(name, spec.name), spec.description, spec.input_schema)
                )
    return tuple(offered)


def wire_name(connector: str, tool: str) -> str:
    """A tool's name as a model may spell it; dots are not allowed there."""
    return f"{connector}__{tool}"
