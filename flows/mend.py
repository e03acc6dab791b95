"""Make, verify, check, deliver: what a loop with a goal does about one finding."""

from dataclasses import dataclass

from flows.converse import converse
from governance.effects import Stop
from governance.evidence import Verdict, base_stop
from governance.limits import no_progress
from governance.parts import Json
from tasks.deliver import deliver
from tasks.job import Job
from tasks.lane import Said
from tasks.lanes import checker, maker
from tasks.life import start_from
from tasks.report import amounts_to
from tasks.review import evidence_about, record_verdict
from tasks.step import Waiting
from tasks.verify import verify, verify_base


@dataclass(frozen=True)
class Again:
    """A round that came to nothing yet, and what the maker is told about it."""

    why: str


async def mend(job: Job) -> Json | Waiting | Stop:
    """See it fail first; then rounds of a maker and of two others who must both be satisfied."""
    base = await reproduce(job)
    if isinstance(base, Stop | Waiting):
        return base
    last = Again("")
    proofs: list[Json] = []
    for round in job.rounds:
        outcome = await try_once(job, round, base, last, proofs)
        if not isinstance(outcome, Again):
            return outcome
        if stop := no_progress(proofs, job.loop.harness.stall_after):
            return stop
        last = outcome
    return Stop("rounds", f"{len(proofs)} rounds without an accepted result. {last.why}")


async def reproduce(job: Job) -> Json | Waiting | Stop:
    """The verifier on the untouched base: a stop unless it fails as reported. No maker has been paid yet."""
    base = await start_from(job) or await verify_base(job)
    if isinstance(base, Stop | Waiting):
        return base
    return base_stop(str(base["verdict"]), str(base["why"])) or base


async def try_once(
    job: Job, round: int, base: Json, last: Again, proofs: list[Json]
) -> Json | Waiting | Stop | Again:
    """One round: make, verify in a clean room, have it checked, and deliver what both accept."""
    said = await converse(maker(job, round, base, last.why))
    if not isinstance(said, Said):
        return said
    proof = await verify(job, round)
    if isinstance(proof, Stop | Waiting):
        return proof
    proofs.append(proof)
    if not proof["passed"]:
        return Again(f"The verifier did not pass: {proof['why']}.\n{str(proof['output'])[-6000:]}")
    verdict = await check(job, round, said, base, proof)
    if not isinstance(verdict, Verdict):
        return verdict
    match verdict.verdict:
        case "accept":
            return await hand_over(job, round, said, proof)
        case "reject":
            return Stop("checker", f"the checker rejects the finding: {verdict.reason}")
        case "revise":
            return Again(f"The verifier passed, but the checker wants changes: {verdict.reason}")


async def check(
    job: Job, round: int, said: Said, base: Json, proof: Json
) -> Verdict | Waiting | Stop:
    """The verdict of someone who is not the maker, on record as evidence about this tree."""
    judged = await converse(checker(job, round, said, base, proof))
    if not isinstance(judged, Said):
        return judged
    return await record_verdict(job, round, judged, proof)


async def hand_over(job: Job, round: int, said: Said, proof: Json) -> Json | Waiting | Stop:
    """Deliver what was verified and accepted, and say what it amounted to."""
    evidence = await evidence_about(job, str(proof["tree"]))
    done = await deliver(job, round, {**proof, "evidence": evidence})
    if not isinstance(done, dict):
        return done
    return await amounts_to(job, evidence, done, said.text)
