"""What becomes of an item whose record does not fit the code any more? It waits; a person says."""

from governance.effects import InDoubt, Refused, Stop, round_in
from governance.errors import Diverged
from governance.parts import Json, short_id, usd
from governance.records import Card, Claimed, Entry
from governance.rounds import round_of
from governance.seats import loop_principal
from tasks.doubt import inform
from tasks.job import Job
from tasks.step import Waiting
from tasks.world import now_ms


async def park(job: Job, error: Diverged) -> Waiting | Stop | None:
    """Wait for a person's word; None once they had the round begun anew, and it is."""
    round = round_of(round_in(error.key), job.restarts)
    assert round is not None, error.key
    card = await _card(job, error, round)
    match card.answer:
        case "restart":
            return await _begin_anew(job, round, card)
        case "abandon":
            said = f": {card.reason}" if card.reason else ""
            return Stop("diverged", f"{error} {card.answered_by or 'nobody'} abandoned it{said}")
        case _:
            return Waiting()


async def _begin_anew(job: Job, round: int, card: Card) -> Waiting | Stop | None:
    begun = await job.world.store.begin_anew(
        job.owner, round, card=card.card, fence=job.fence, now=now_ms()
    )
    match begun:
        case InDoubt():
            for doubt in await job.world.store.cards(item=job.owner):
                if doubt.kind == "in_doubt":
                    await inform(job, doubt.card)
            return Waiting()
        case Refused(stop):
            return stop
        case Claimed():
            job.go_on_as(begun)
            return None


async def _card(job: Job, error: Diverged, round: int) -> Card:
    store = job.world.store
    entries = await store.entries(job.owner)
    named = short_id("c", job.owner, "diverged", error.key, error.recorded, error.asked)
    return await store.ask(
        Card(
            card=named,
            item=job.owner,
            run=job.run,
            loop=job.loop.name,
            kind="diverged",
            key=error.key,
            tool=f"round {round}" if job.loop.goal and round else "the item from its beginning",
            arguments={"recorded": error.recorded, "asked": error.asked},
            tool_digest="",
            policy_digest="",
            tree=None,
            by=loop_principal(job.loop),
            why=f"the code asks for another effect at {error.key!r} than the one on record",
            evidence=(),
            cost=sum(r.cost or 0 for r in await store.ledger(item=job.owner)),
            diff=None,
            reach="none; nothing is sent for this card",
            asked_at=now_ms(),
            deadline=None,
            on_deadline=None,
            facts={"again": await _again(job, entries, round)},
        ),
        notice={"kind": "card", "card": named},
        fence=job.fence,
    )


async def _again(job: Job, entries: tuple[Entry, ...], round: int) -> Json:
    """What was paid in the rounds that would begin anew, and what they wrote: the same call is not made twice."""
    begun = {
        e.key for e in entries
        if (now := round_of(e.place.round, job.restarts)) is not None and now >= round
    }  # fmt: skip
    rows = [r for r in await job.world.store.ledger(item=job.owner) if r.key in begun]
    labels = job.world.registry.organisation.labels
    writes = [
        r.name if r.status in ("done", "late") else f"{r.name} (nobody knows whether it happened)"
        for r in rows
        if r.status != "failed"
        and (r.kind == "push" or (r.kind == "tool" and not getattr(labels(r.name), "read_only", 0)))
    ]
    return {
        "model_calls": sum(r.kind == "model" for r in rows),
        "commands": sum(r.kind == "sandbox" for r in rows),
        "cost_usd": f"{usd(sum(r.cost or 0 for r in rows)):.6f}",
        "writes": writes,
    }
