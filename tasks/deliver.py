"""Hand over exactly what the evidence is about: push the tree, then each delivery step through the gate."""

from collections.abc import Mapping
from typing import Any, cast

from prefect import Task

from drivers.crash import point
from governance.conversation import ToolResult
from governance.effects import Evidence, Settlement, Stop
from governance.parts import Json
from governance.seats import loop_principal
from tasks.gate import Proposal, pass_gate, result_of
from tasks.job import Job, current
from tasks.perform import effect, perform
from tasks.step import Came, Step, Waiting
from tasks.verify import candidate_of
from tasks.wayout import of_repository
from tasks.world import now_ms

NEEDS = ("verified", "checked")
PUSH_TIMEOUT_S = 120.0


@effect("push")
async def _push(step: Step) -> Came:
    job = current()
    candidate = await candidate_of(job)
    intent = job.intent(
        step.place,
        "push",
        branch_of(job),
        by=loop_principal(job.loop),
        rule="verified and checked",
        args={"branch": branch_of(job), "tree": candidate.tree},
        repeatable=True,
        timeout_s=PUSH_TIMEOUT_S,
        tree=candidate.tree,
        needs=NEEDS,
    )

    async def act() -> Settlement:
        assert job.item is not None
        assert job.loop.workspace is not None
        repository, author = await job.repository()
        commit = await repository.commit(
            job.base,
            candidate.tree,
            message=_message(job),
            author=author,
            at=job.item.found_at // 1000,
        )
        point("before-push")
        with of_repository(job.world.registry.organisation, job.loop.workspace.repository):
            await repository.push(commit, branch_of(job))
        point("after-push")
        return Settlement(
            now=now_ms(), result={"commit": commit, "branch": branch_of(job)}, cost=0,
            cost_status="free", list_cost=0, price={}, tree=candidate.tree,
        )  # fmt: skip

    return job.took(step, await job.world.edge.local(intent, act))


@effect("deliver")
async def _deliver(step: Step) -> Came:
    job = current()
    proposal = cast(Proposal, job.asking[step.key])
    outcome = await pass_gate(job, proposal)
    if isinstance(outcome, Waiting):
        return Waiting(f"{proposal.name} {outcome.what}")
    return outcome if isinstance(outcome, Stop) else None


async def deliver(job: Job, round: int, facts: Mapping[str, object]) -> Json | Waiting | Stop:
    """Each delivery step in order; what each came to. A refusal by a person or a rule is a stop."""
    pushed = await _step(job, _push, Step(job.place(round, "push", 0, 0), "push the branch"))
    if not isinstance(pushed, dict):
        return pushed
    known: dict[str, object] = {**facts, **pushed}
    done: dict[str, object] = {"push": pushed}
    for n, step in enumerate(job.loop.deliver):
        connector, _, tool = step.tool.partition(".")
        place = job.place(round, "deliver", n, 0)
        proposal = Proposal(
            place=place,
            by=loop_principal(job.loop),
            grants=job.loop.mcp_servers,
            connector=connector,
            tool=tool,
            arguments={**await _arguments(job, connector, tool, known), **step.arguments},
            tree=str(facts["tree"]),
            needs=NEEDS,
            evidence=cast(tuple[Evidence, ...], facts["evidence"]),
            diff=str(facts["diff"]),
        )
        came = await _step(job, _deliver, Step(place, f"deliver: {step.tool}"), proposal)
        if not isinstance(came, dict):
            return came
        result = result_of(job, place.key, proposal.head)
        if stop := _refused(step.tool, result, job.results[place.key].labels):
            return stop
        learned = result.data
        known |= learned if isinstance(learned, dict) else {}
        done[step.tool] = learned if learned is not None else result.text
    return done


async def _step(
    job: Job, task: Task[[Step], Any], step: Step, about: object = None
) -> Json | Waiting | Stop:
    return await perform(task, step, about) or dict(job.results[step.key].result)


def branch_of(job: Job) -> str:
    """The branch this item's work is pushed to; one per item and round of ours, never anybody else's."""
    assert job.item is not None
    return f"looprail/{job.loop.name}/{job.item.item}"


def _message(job: Job) -> str:
    assert job.item is not None
    finding = job.item.finding
    return (
        f"{finding.title}\n\n{finding.brief}\n\n"
        f"Loop: {job.loop.name}\nRun: {job.run}\nItem: {job.owner}\nRole: maker\n"
    )


async def _arguments(job: Job, connector: str, tool: str, known: Mapping[str, object]) -> Json:
    """What the tool's own schema asks for by a name we know."""
    assert job.item is not None
    assert job.loop.workspace is not None
    owner, _, repo = job.loop.workspace.repository.rpartition("/")
    finding = job.item.finding
    words: dict[str, object] = {
        "title": finding.title,
        "body": _body(job, known),
        "head": known["branch"],
        "base": job.loop.workspace.ref,
        "owner": owner,
        "repo": repo,
        "sha": known["commit"],
    }
    if "number" in known:
        words |= dict.fromkeys(
            ("number", "pull_number", "pullNumber", "pull_request_number"), known["number"]
        )
    spec = next((s for s in await job.tools(connector) if s.name == tool), None)
    asked = spec.input_schema.get("properties", {}) if spec else {}
    return {name: value for name, value in words.items() if name in asked}


def _body(job: Job, known: Mapping[str, object]) -> str:
    assert job.item is not None
    proof = "\n".join(
        f"- {e.kind}: {e.verdict} by {e.by} ({e.detail})"
        for e in cast(tuple[Evidence, ...], known["evidence"])
    )
    return (
        f"{job.item.finding.brief}\n\nEvidence about tree {known['tree']}:\n{proof}\n\n"
        f"Loop {job.loop.name}, run {job.run}, item {job.owner}."
    )


def _refused(tool: str, result: ToolResult, labels: tuple[str, ...]) -> Stop | None:
    if not result.is_error:
        return None
    # A connector may answer with the same field; only our own refusals carry the label.
    rule = str((result.structured or {}).get("refused", "")) if "refused" in labels else ""
    detail = f"{tool}: {result.text}"
    if rule.startswith("card"):
        return Stop("rejected", detail)
    if rule == "deadline":
        return Stop("expired", detail)
    return Stop("denied" if rule else "refused_outside", detail)
