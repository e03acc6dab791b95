"""Is it red before, and green after, where the maker has never been?

A clean room is a fresh box from the prepared image with exactly one tree in it. What a maker did to its own box,
to installed packages, to PATH, or by leaving something running, is not there.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from prefect import Task

from governance.effects import Evidence, InDoubt, Recorded, Refused, Settlement, Stop
from governance.errors import Rejected
from governance.evidence import base_verdict, fingerprint, last_line
from governance.parts import Json
from governance.ports import Candidate, CommandResult, Manifest
from governance.seats import loop_principal
from governance.steering import never_delivered, shadowing
from tasks.desk import base_files, box_spec, box_time, manifest_at
from tasks.job import Job, current
from tasks.perform import effect, perform
from tasks.step import Came, Step, Waiting
from tasks.world import now_ms

OUTPUT_BYTES = 200_000


@effect("verify_base")
async def _verify_base(step: Step) -> Came:
    job = current()
    assert job.item is not None

    async def act() -> Settlement:
        try:
            ended = await _clean_room(job, await base_files(job))
        except Rejected as error:
            why = error.detail
            proof = Evidence("base", job.base, "broken", "verifier", last_line(why))
            return _settled({"verdict": "broken", "why": why, "output": why}, (proof,))
        assert job.loop.goal is not None
        assert job.item is not None
        verdict, why = base_verdict(ended, job.loop.goal, job.item.finding)
        proof = Evidence("base", job.base, verdict, "verifier", why)
        return _settled(
            {"verdict": verdict, "why": why, "output": ended.output, "seconds": ended.seconds},
            (proof,),
        )

    return job.took(step, await _admit(job, step, "verify base", act))


@effect("verify")
async def _verify(step: Step) -> Came:
    job = current()

    async def act() -> Settlement:
        candidate = await candidate_of(job)
        repository, _ = await job.repository()
        ended = await _clean_room(job, await repository.files(candidate.tree))
        passed = ended.exit_code == 0 and not ended.stopped and bool(candidate.diff)
        why = _why(ended, candidate)
        proof = Evidence(
            "verified", candidate.tree, "passed" if passed else "failed", "verifier", why
        )
        result = {
            **vars(candidate),
            "passed": passed,
            "why": why,
            "output": ended.output,
            "fingerprint": fingerprint(ended.output),
            "seconds": ended.seconds,
        }
        return _settled(result, (proof,), tree=candidate.tree)

    return job.took(step, await _admit(job, step, "verify", act))


async def verify_base(job: Job) -> Json | Waiting | Stop:
    """What the verifier says of the untouched base, before any maker is paid."""
    return await _result(
        _verify_base, Step(job.place(0, "base", 0, 0), "verify the untouched base")
    )


async def verify(job: Job, round: int) -> Json | Waiting | Stop:
    """What the verifier says of the maker's tree, in a clean room."""
    return await _result(_verify, Step(job.place(round, "verify", 0, 0), f"verify round {round}"))


async def _result(task: Task[[Step], Any], step: Step) -> Json | Waiting | Stop:
    return await perform(task, step) or dict(current().results[step.key].result)


async def _admit(
    job: Job, step: Step, name: str, act: Callable[[], Awaitable[Settlement]]
) -> Recorded | Refused | InDoubt:
    goal, workspace = job.loop.goal, job.loop.workspace
    assert goal is not None
    assert workspace is not None
    # The first verifier of an item prepares the image.
    limit_s = (goal.verify_minutes + workspace.setup_minutes) * 60
    intent = job.intent(
        step.place,
        "sandbox",
        name,
        by=loop_principal(job.loop, "verifier"),
        rule="the loop's goal names this verifier",
        args={"command": goal.verify},
        repeatable=True,
        timeout_s=limit_s,
    )
    return await job.world.edge.local(intent, act, box=box_time(job, limit_s))


def _settled(result: Json, evidence: tuple[Evidence, ...], tree: str | None = None) -> Settlement:
    return Settlement(
        now=now_ms(),
        result=result,
        cost=0,
        cost_status="free",
        price={},
        tree=tree,
        evidence=evidence,
        attributes={"loop.sandbox.seconds": result.get("seconds", 0)},
    )


async def candidate_of(job: Job) -> Candidate:
    """What the last saved state of the workspace amounts to over the base."""
    goal = job.loop.goal
    assert goal is not None
    assert job.desk is not None
    repository, _ = await job.repository()
    state = job.desk.state
    files = await manifest_at(job, state) if state else await base_files(job)
    protect = (*never_delivered(goal.protect), *shadowing(files, goal.verify))
    return await repository.candidate(job.base, files, protect)


async def _clean_room(job: Job, files: Manifest) -> CommandResult:
    goal = job.loop.goal
    assert goal is not None
    box = await (await job.world.sandbox()).open(await box_spec(job, "verifier"))
    try:
        await box.load(files)
        return await box.run(
            goal.verify, timeout_s=goal.verify_minutes * 60, max_bytes=OUTPUT_BYTES
        )
    finally:
        await box.close()


def _why(ended: CommandResult, candidate: Candidate) -> str:
    if not candidate.diff:
        return "nothing was changed"
    if ended.stopped:
        return f"the verifier was stopped by its {ended.stopped} limit"
    return f"the verifier ended with exit code {ended.exit_code} in a clean room"
