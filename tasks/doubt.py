"""What can be told about a call that may have happened: is its process dead, and what does the far side show?"""

from drivers.process import fate_of
from governance.approvals import moment
from governance.conversation import ToolResult
from governance.effects import InDoubt, Place, Principal, Refused
from governance.errors import DriverError
from governance.organisation import Probe
from governance.parts import Json
from governance.probe import asked, found
from governance.records import Card
from tasks.job import PROBES, Job
from tasks.world import now_ms

PROBE_TIMEOUT_S = 60.0
MAX_PROBE_BYTES = 20_000


async def inform(job: Job, name: str) -> None:
    """Put on an in-doubt card, once, what a person needs to answer it."""
    store = job.world.store
    card = await store.card(name)
    if card is None or card.facts is not None:
        return
    facts: Json = {"process": _process(card, await store.process_of(card.key))}
    labels = job.world.registry.organisation.labels(card.tool)
    if labels is not None and labels.probe is not None:
        facts["probe"] = await _probe(job, card, labels.probe)
    await store.learned(name, facts, fence=job.fence)


def _process(card: Card, noted: Json | None) -> Json:
    if card.not_before is None:
        return {"fate": "ended", "why": "over: the process that made it saw its connection end"}
    fate, why = fate_of(noted)
    return {"fate": fate, "why": why}


async def _probe(job: Job, card: Card, probe: Probe) -> Json:
    """The far side's answer, through the edge: an effect of its own, one for each card."""
    at = job.place(0, f"{PROBES}{card.card}", 0, 0)
    said = asked(probe, card.arguments)
    told: Json = {"tool": probe.tool, "arguments": said, "at": moment(now_ms())}
    answer = job.results[at.key].result if at.key in job.results else None
    if answer is None:
        answer = await _ask(job, at, card.by, probe.tool, said)
    if isinstance(answer, str):
        return {**told, "failed": answer}
    result = ToolResult(**answer)
    if result.is_error:
        return {**told, "failed": result.text}
    return {**told, "text": result.text, "found": list(found(probe, card.arguments, result.data))}


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
            price_usd=job.world.registry.organisation.price_of(name),
        )  # fmt: skip
    except DriverError as error:
        return str(error)
    if isinstance(outcome, Refused):
        return outcome.stop.detail
    assert not isinstance(outcome, InDoubt), "a probe only reads"
    job.results[at.key] = outcome
    return outcome.result
