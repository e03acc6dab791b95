"""What can be told about a call that may have happened: is its process dead, and what does the far side show?"""

from drivers.process import fate_of, this_process
from governance.approvals import moment
from governance.conversation import ToolResult
from governance.effects import InDoubt, Place, Principal, Refused
from governance.errors import DriverError
from governance.organisation import Probe
from governance.parts import Json
from governance.probe import asked, found
from tasks.job import PROBES, Job
from tasks.world import now_ms

PROBE_TIMEOUT_S = 60.0
MAX_PROBE_BYTES = 20_000


async def inform(
    job: Job, place: Place, by: Principal, tool: str, arguments: Json, card: str
) -> None:
    """Put on an in-doubt card, once, what a person needs to answer it."""
    store = job.world.store
    known = await store.card(card)
    if known is None or known.facts is not None:
        return
    facts: Json = {"process": _process(await store.process_of(place.key))}
    labels = job.world.registry.organisation.labels(tool)
    if labels is not None and labels.probe is not None:
        facts["probe"] = await _probe(job, place, by, labels.probe, arguments, card)
    await store.learned(card, facts, fence=job.fence)


def _process(noted: Json | None) -> Json:
    if noted is not None and noted == this_process():
        return {"fate": "ended", "why": "over: the process that made it saw its connection end"}
    fate, why = fate_of(noted)
    return {"fate": fate, "why": why}


async def _probe(
    job: Job, place: Place, by: Principal, probe: Probe, arguments: Json, card: str
) -> Json:
    """The far side's answer, through the edge: an effect of its own, one for each card."""
    lane = f"{PROBES}{place.lane}-{place.step}-{place.ordinal}-{card}"
    at = job.place(0, lane, 0, 0)
    said = asked(probe, arguments)
    told: Json = {"tool": probe.tool, "arguments": said, "at": moment(now_ms())}
    answer = job.results[at.key].result if at.key in job.results else None
    if answer is None:
        answer = await _ask(job, at, by, probe.tool, said)
    if isinstance(answer, str):
        return {**told, "failed": answer}
    result = ToolResult(**answer)
    if result.is_error:
        return {**told, "failed": result.text}
    return {**told, "text": result.text, "found": list(found(probe, arguments, result.data))}


async def _ask(job: Job, at: Place, by: Principal, name: str, arguments: Json) -> Json | str:
    """The answer as it is on record, or why there is none."""
    connector, _, tool = name.partition(".")
    intent = job.intent(
        at,
        "tool",
        name,
        by=by,
        rule="org.yaml names it as the probe of a call in doubt",
        args=arguments,
        repeatable=True,
        timeout_s=PROBE_TIMEOUT_S,
    )
    try:
        outcome = await job.world.edge.tool(
            await job.world.connector(connector), tool, intent, labels=("untrusted",),
            timeout_s=PROBE_TIMEOUT_S, max_bytes=MAX_PROBE_BYTES,
        )  # fmt: skip
    except DriverError as error:
        return str(error)
    if isinstance(outcome, Refused):
        return outcome.stop.detail
    assert not isinstance(outcome, InDoubt), "a probe only reads"
    job.results[at.key] = outcome
    return outcome.result
