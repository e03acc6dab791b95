"""Who talks to whom about what: the lanes a loop is made of."""

from governance.briefs import checker_brief, item_brief, lead_brief, maker_brief, whole_loop_brief
from governance.conversation import EMPTY_HEAD
from governance.evidence import FoundItems, Verdict
from governance.parts import Json
from governance.seats import lead_seat, subagent_seat
from tasks.job import Job
from tasks.lane import Lane, Said
from tasks.world import now_ms


async def known(job: Job) -> str | None:
    """The state page as it stood when this job first asked: on record, so that a later life is told the same."""
    place = job.place(0, "state", 0, 0)
    if place.key not in job.results:
        page = await job.world.store.state(job.loop.name)
        job.results[place.key] = await job.world.store.record(
            place, kind="step", name="state page", head=EMPTY_HEAD, head_after=EMPTY_HEAD, args={},
            result={"body": page.body if page else None}, labels=(), fence=job.fence, now=now_ms(),
        )  # fmt: skip
    return job.results[place.key].result["body"]


def finder(job: Job, seen: str | None, state: str | None) -> Lane:
    """The lead of a heartbeat: what was seen or delivered in, findings by schema out."""
    seat = lead_seat(job.pinned, heartbeat=True)
    brief = lead_brief(job.loop, seen, state, job.payload)
    return Lane(job, seat, name="lead", round=0, brief=brief, schema=FoundItems)


def lead(job: Job, state: str | None) -> Lane:
    """The lead of a loop without a goal, on one item."""
    assert job.item is not None
    seat = lead_seat(job.pinned, heartbeat=False)
    finding = job.item.finding
    brief = (
        finding.brief if finding.dedupe == job.loop.name else item_brief(job.loop, finding, state)
    )
    return Lane(job, seat, name="lead", round=0, brief=brief)


def whole_brief(job: Job, state: str | None) -> str:
    """What the lead of a loop without a look is asked."""
    return whole_loop_brief(job.loop, state)


def maker(job: Job, round: int, base: Json, last: str) -> Lane:
    """The maker's try in one round."""
    assert job.item is not None
    agent = job.loop.agent("maker")
    assert agent is not None
    brief = maker_brief(job.loop, job.item.finding, str(base["output"]), last)
    return Lane(job, subagent_seat(job.pinned, agent), name="maker", round=round, brief=brief)


def checker(job: Job, round: int, said: Said, base: Json, proof: Json) -> Lane:
    """The checker's look at one verified result; nothing of the maker's conversation but its summary."""
    assert job.item is not None
    agent = job.loop.agent("checker")
    assert agent is not None
    brief = checker_brief(
        job.item.finding,
        diff=str(proof["diff"]),
        dropped=str(proof["dropped"]),
        verifier=str(proof["output"]),
        summary=said.text,
        base=f"{base['verdict']} ({base['why']})",
        verified=f"{'passed' if proof['passed'] else 'failed'} ({proof['why']})",
    )
    seat = subagent_seat(job.pinned, agent)
    return Lane(job, seat, name="checker", round=round, brief=brief, schema=Verdict)
