"""Put the checker's verdict on record as evidence about exactly one tree."""

from pydantic import ValidationError

from governance.conversation import EMPTY_HEAD
from governance.effects import Evidence, Stop
from governance.evidence import Verdict
from governance.parts import Json
from tasks.job import Job
from tasks.lane import Said
from tasks.world import now_ms


async def evidence_about(job: Job, tree: str) -> tuple[Evidence, ...]:
    """All evidence of this item about the base or this tree; what a round begun anew found again stands once."""
    every = await job.world.store.evidence(job.owner)
    return tuple(dict.fromkeys(e for e in every if e.tree in (tree, job.base)))


async def record_verdict(job: Job, round: int, said: Said, proof: Json) -> Verdict | Stop:
    """The verdict as evidence, or a stop when the answer is none by the schema."""
    try:
        verdict = Verdict.model_validate_json(said.text)
    except ValidationError as error:
        return Stop(
            "malformed", f"the verdict does not follow the schema: {error.error_count()} problems"
        )
    agent = job.loop.agent("checker")
    assert agent is not None
    tree = str(proof["tree"])
    await job.world.store.record(
        job.place(round, "verdict", 0, 0), kind="step", name="verdict", head=EMPTY_HEAD,
        head_after=EMPTY_HEAD, args={"tree": tree}, result=verdict.model_dump(), labels=(),
        fence=job.fence, now=now_ms(),
        evidence=(Evidence("checked", tree, verdict.verdict, agent.name, verdict.reason),),
    )  # fmt: skip
    return verdict
