"""One call at a connector: weigh it, ask a person if the rules say so, then make it or refuse it.

Agents' calls and the loop's own deliveries both come through here, so there is one gate.
"""

from dataclasses import dataclass, field

from governance.approvals import card_id
from governance.arguments import arguments_problem
from governance.conversation import EMPTY_HEAD, ToolResult, ToolSpec
from governance.definition import Grants
from governance.effects import Evidence, InDoubt, Kind, Place, Principal, Refused, Stop
from governance.parts import Json
from governance.policy import Decision, Traits, grants_of, policy_digest, tighter, traits, weigh
from governance.records import Card
from tasks.doubt import inform
from tasks.job import MADE_BEFORE, Job
from tasks.step import Waiting
from tasks.wayout import of_connector
from tasks.world import now_ms

TOOL_TIMEOUT_S = 120.0
MAX_RESULT_BYTES = 64_000


@dataclass(frozen=True)
class Proposal:
    """A call somebody wants made, and what the card says about it should a person be asked."""

    place: Place
    by: Principal
    grants: Grants
    connector: str
    tool: str
    arguments: Json
    head: str = EMPTY_HEAD
    tree: str | None = None
    needs: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    diff: str | None = None
    labels: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """`connector.tool`."""
        return f"{self.connector}.{self.tool}"


async def pass_gate(job: Job, p: Proposal) -> ToolResult | Waiting | Stop:
    """What the call came to: its result (a refusal is one), what it waits for, or a stop of the item."""
    if p.place.key in job.results:
        return result_of(job, p.place.key, p.head)
    spec = next((s for s in await job.tools(p.connector) if s.name == p.tool), None)
    if spec is None:
        return await refuse(job, p, "unknown tool", f"{p.connector!r} offers no tool {p.tool!r}")
    organisation = job.world.registry.organisation
    kind = traits(spec, organisation.labels(p.name))
    decision = _decide(job, p, kind)
    if decision.effect == "deny":
        return await refuse(job, p, decision.rule, decision.reason)
    if not kind.read_only and (made := job.made_before(p.name, p.arguments)):
        return await put(job, p, "tool", made.result, (*made.labels, MADE_BEFORE))
    if problem := arguments_problem(p.arguments, spec.input_schema):
        return await refuse(job, p, "arguments", f"{p.name!r} does not take these: {problem}")
    if decision.effect == "allow":
        return await _make(job, p, decision, kind, spec, None)
    return await _ask(job, p, spec, decision, kind)


def _decide(job: Job, p: Proposal, kind: Traits) -> Decision:
    """By the definition the item pins and by the one in force now: the tighter wins."""
    registry = job.world.registry
    now = registry.loops.get(job.loop.name)
    if now is None:
        return Decision("deny", "registry", f"loop {job.loop.name!r} is in the registry no more")
    given = ((job.loop, p.grants), (now, grants_of(now, p.by.agent)))
    return tighter(
        *(
            weigh(
                loop=loop,
                organisation=registry.organisation,
                by=p.by,
                grants=grants,
                connector=p.connector,
                tool=p.tool,
                traits=kind,
                heartbeat=job.item is None,
            )
            for loop, grants in given
        )
    )


async def _ask(
    job: Job, p: Proposal, spec: ToolSpec, decision: Decision, kind: Traits
) -> ToolResult | Waiting | Stop:
    card = await _card(job, p, spec, decision, kind)
    if card.answer == "approve":
        return await _make(job, p, decision, kind, spec, card.card)
    if card.answer == "reject":
        who, why = card.answered_by or "nobody", card.reason or "no reason given"
        rule = "deadline" if who == "deadline" else f"card {card.card}"
        return await refuse(job, p, rule, f"rejected by {who}: {why}")
    return waits_for(card.card)


async def _card(job: Job, p: Proposal, spec: ToolSpec, decision: Decision, kind: Traits) -> Card:
    policy = policy_digest(job.world.registry.organisation, job.loop)
    named = card_id(p.place.owner, p.name, p.arguments, spec.digest + policy, p.tree)
    store, now = job.world.store, now_ms()
    for older in await store.cards(item=job.owner):
        if (
            older.kind == "approval"
            and older.key == p.place.key
            and _differs(older, p, spec, policy)
        ):
            await store.answer(
                older.card, answer="reject", by="loop", now=now,
                reason="superseded: arguments, tool, rules or result changed",
            )  # fmt: skip
    silence = job.loop.harness.on_no_approver
    words = [w for w, on in vars(kind).items() if on and w != "known"]
    paid = sum(r.cost or 0 for r in await store.ledger(item=job.owner))
    return await store.ask(
        Card(
            card=named,
            item=job.owner,
            run=job.run,
            loop=job.loop.name,
            kind="approval",
            key=p.place.key,
            tool=p.name,
            arguments=p.arguments,
            tool_digest=spec.digest,
            policy_digest=policy,
            tree=p.tree,
            by=p.by,
            why=f"{decision.reason} ({decision.rule})",
            evidence=p.evidence,
            cost=paid,
            diff=p.diff,
            reach=f"{p.connector} ({', '.join(words) or 'unlabelled'})",
            asked_at=now,
            deadline=now + int(silence.after.total_seconds() * 1000) if silence else None,
            on_deadline=silence.then if silence else None,
        ),
        notice={"kind": "card", "card": named},
        fence=job.fence,
    )


def _differs(card: Card, p: Proposal, spec: ToolSpec, policy: str) -> bool:
    asked = (card.arguments, card.tool_digest, card.policy_digest, card.tree)
    return asked != (p.arguments, spec.digest, policy, p.tree)


async def _make(
    job: Job, p: Proposal, decision: Decision, kind: Traits, spec: ToolSpec, card: str | None
) -> ToolResult | Waiting | Stop:
    intent = job.intent(
        p.place,
        "tool",
        p.name,
        by=p.by,
        rule=decision.rule,
        args=p.arguments,
        repeatable=kind.read_only or kind.idempotent,
        timeout_s=TOOL_TIMEOUT_S,
        head=p.head,
        card=card,
        tool_digest=spec.digest,
        tree=p.tree,
        needs=p.needs,
    )
    with of_connector(job.world.registry.organisation, p.connector):
        outcome = await job.world.edge.tool(
            await job.world.connector(p.connector),
            p.tool,
            intent,
            labels=("untrusted",) if kind.untrusted else (),
            timeout_s=TOOL_TIMEOUT_S,
            max_bytes=MAX_RESULT_BYTES,
            price_usd=job.world.registry.organisation.price_of(p.name),
        )
    if isinstance(outcome, Refused):
        return job.patience.refused(outcome)
    if isinstance(outcome, InDoubt):
        await inform(job, outcome.card)
        return waits_for(outcome.card)
    job.results[p.place.key] = outcome
    return result_of(job, p.place.key, p.head)


def waits_for(card: str) -> Waiting:
    """A person has to answer this card first."""
    return Waiting(f"waits for a person (card {card})")


async def refuse(job: Job, p: Proposal, rule: str, reason: str) -> ToolResult:
    """Put a refusal on record as the call's result, so that a replay refuses alike."""
    text = f"Refused ({rule}): {reason}."
    refusal = ToolResult(text, is_error=True, structured={"refused": rule})
    return await put(job, p, "tool", vars(refusal), ("refused",))


async def put(
    job: Job, p: Proposal, kind: Kind, result: Json, labels: tuple[str, ...] = ()
) -> ToolResult:
    """Put on record as the call's result what nothing outside was asked for."""
    job.results[p.place.key] = await job.world.store.record(
        p.place, kind=kind, name=p.name, head=p.head, head_after=p.head, args=p.arguments,
        result=result, labels=labels, fence=job.fence, now=now_ms(),
    )  # fmt: skip
    return result_of(job, p.place.key, p.head)


def result_of(job: Job, key: str, head: str) -> ToolResult:
    """The result on record at `key`."""
    return ToolResult(**job.recorded(key, head).result)
