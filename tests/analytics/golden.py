"""Three nights of two loops, written through the real store: whatever a ledger can hold is in it once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

from drivers.store.store import SqlStore
from governance.charges import Amounts
from governance.conversation import EMPTY_HEAD, Usage
from governance.effects import Admitted, Evidence, Intent, Kind, Place, Principal, Settlement, Stop
from governance.parts import short_id
from governance.prices import cost, price_of
from governance.records import Finding, LedgerRow

SONNET, OPUS, HOUSE = "claude-sonnet-4-6", "claude-opus-4-8", "house-model"
TREE = "7" * 40
SECRET_TEXT = "the customer's password is hunter2"


def at(day: int, hour: int = 2, minute: int = 0, ms: int = 0) -> int:
    return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp()) * 1000 + ms


def principal(loop: str, role: str) -> Principal:
    owner, team = ("noor", "platform") if loop == "night-fix" else ("ines", "support")
    return Principal(
        loop, owner, team, {"maker": "fix-drafter", "checker": "fix-reviewer"}.get(role, role), role
    )


@dataclass
class Ledger:
    """Writes tries through T4, T5 and T6 in the order they are told."""

    store: SqlStore
    steps: "count[int]" = field(default_factory=count)

    async def run(self, loop: str, run: str, now: int) -> None:
        await self.store.open_run(
            run,
            loop=loop,
            slot=str(now),
            flow_run=f"f-{run}",
            definition="sha256:d",
            budgets=(),
            now=now,
        )

    async def items(self, loop: str, run: str, now: int, *names: str) -> list[str]:
        findings = tuple(
            (short_id("i", loop, n, run), Finding(n, f"fix {n}", SECRET_TEXT)) for n in names
        )
        await self.store.found(
            run, findings, definition="sha256:d", budgets=(), state=None, summary="found", now=now
        )
        for item, _ in findings:
            await self.store.claim(
                item, flow_run=f"w-{item}", now=now, lease=now + 10**9, max_lives=5
            )
        return [item for item, _ in findings]

    async def open(
        self,
        loop: str,
        run: str,
        owner: str,
        now: int,
        *,
        role: str = "lead",
        lane: str = "lead",
        kind: Kind = "model",
        name: str = SONNET,
        step: int | None = None,
        reserved: int = 0,
    ) -> tuple[Place, Admitted]:
        place = Place(run, owner, 1, lane, next(self.steps) if step is None else step, 0)
        admitted = await self.store.intend(
            Intent(
                place=place,
                kind=kind,
                name=name,
                principal=principal(loop, role),
                rule="granted",
                head=EMPTY_HEAD,
                args={},
                fence=0 if owner == run else 1,
                now=now,
                send_by=now + 1000,
                lease=now + 10_000,
                repeatable=True,
                most=Amounts(usd=reserved),
                attributes={"gen_ai.request.model": name, "prompt": SECRET_TEXT}
                if kind == "model"
                else {},
            )
        )
        assert isinstance(admitted, Admitted), admitted
        return place, admitted

    async def answered(
        self, place: Place, admitted: Admitted, now: int, usage: Usage, model: str = SONNET
    ) -> None:
        price = price_of(model, now, usage.input_tokens)
        paid = cost(usage, model, now)
        await self.store.done(
            place, admitted.attempt,
            Settlement(
                now=now, result={"text": SECRET_TEXT}, cost=paid, list_cost=paid, usage=usage, response_model=model,
                cost_status="unpriced" if paid is None else "priced", price=price.as_json() if price else {},
                attributes={"gen_ai.response.id": f"msg_{place.step}", "gen_ai.response.finish_reasons": ["end_turn"]},
            ),
        )  # fmt: skip

    async def call(
        self,
        loop: str,
        run: str,
        owner: str,
        now: int,
        usage: Usage,
        *,
        model: str = SONNET,
        role: str = "lead",
        lane: str = "lead",
    ) -> None:
        place, admitted = await self.open(loop, run, owner, now, role=role, lane=lane, name=model)
        await self.answered(place, admitted, now + 4000, usage, model)

    async def free(
        self,
        loop: str,
        run: str,
        owner: str,
        now: int,
        kind: Kind,
        name: str,
        *,
        role: str = "loop",
        lane: str = "lead",
        evidence: tuple[Evidence, ...] = (),
        error: str | None = None,
    ) -> None:
        place, admitted = await self.open(
            loop, run, owner, now, role=role, lane=lane, kind=kind, name=name
        )
        await self.store.done(
            place, admitted.attempt,
            Settlement(
                now=now + 700, result={"text": SECRET_TEXT}, cost=0, list_cost=0, cost_status="free", price={},
                evidence=evidence, attributes={"loop.sandbox.seconds": 0.7}, error=error,
            ),
        )  # fmt: skip

    async def close(self, item: str, now: int, stop: Stop | None = None) -> None:
        row = await self.store.item(item)
        assert row is not None
        page = await self.store.state(row.loop)
        await self.store.close(
            item,
            fence=1,
            status="stopped" if stop else "done",
            outcome={},
            stop=stop,
            state="# s",
            seen=page.version if page else 0,
            now=now,
        )


async def night_fix_accepted(led: Ledger) -> AsyncIterator[str]:
    """20 Nov: two items; one is verified, accepted and delivered, the other runs out of rounds."""
    loop, run = "night-fix", "r-nf-20"
    await led.run(loop, run, at(20))
    yield "run opened"
    await led.free(loop, run, run, at(20, 2, 1), "tool", "ci.list_failures", lane="look")
    await led.call(loop, run, run, at(20, 2, 2), Usage(5_000, 400))
    good, bad = await led.items(loop, run, at(20, 2, 3), "test_a", "test_b")
    yield "found"
    base = Evidence("base", "b" * 40, "failing", "verifier", SECRET_TEXT)
    await led.free(
        loop,
        run,
        good,
        at(20, 2, 4),
        "sandbox",
        "verify",
        role="verifier",
        lane="base",
        evidence=(base,),
    )
    await led.call(
        loop, run, good, at(20, 2, 5), Usage(9_000, 700, 0, 8_000), role="maker", lane="maker"
    )
    await led.call(
        loop,
        run,
        good,
        at(20, 2, 6),
        Usage(11_000, 900, 8_000, 2_000, 500, 300),
        role="maker",
        lane="maker",
    )
    verified = Evidence("verified", TREE, "passed", "verifier", "exit code 0")
    await led.free(
        loop,
        run,
        good,
        at(20, 2, 7),
        "sandbox",
        "verify",
        role="verifier",
        lane="verify",
        evidence=(verified,),
    )
    await led.call(
        loop, run, good, at(20, 2, 8), Usage(6_001, 333), model=OPUS, role="checker", lane="checker"
    )
    yield "checked"
    await led.store.record(
        Place(run, good, 1, "verdict", 0, 0),
        kind="step",
        name="verdict",
        head=EMPTY_HEAD,
        head_after=EMPTY_HEAD,
        args={},
        result={},
        labels=(),
        fence=1,
        now=at(20, 2, 9),
        evidence=(Evidence("checked", TREE, "accept", "fix-reviewer", SECRET_TEXT),),
    )
    await led.free(loop, run, good, at(20, 2, 10), "push", "looprail/night-fix/x", lane="push")
    await led.free(
        loop, run, good, at(20, 2, 11), "tool", "github.create_pull_request", lane="deliver"
    )
    await led.close(good, at(20, 2, 12))
    yield "delivered"
    await led.call(
        loop, run, bad, at(20, 23, 59, ms=59_999), Usage(20_000, 5_000), role="maker", lane="maker"
    )
    await led.free(
        loop, run, bad, at(21, 0, 0), "tool", "github.get_issue", role="maker", error="tool_error"
    )
    await led.close(bad, at(21, 0, 5), Stop("rounds", "3 rounds without an accepted result"))
    yield "stopped"


async def ticket_triage_unpriced(led: Ledger) -> AsyncIterator[str]:
    """21 Nov: an item that ends well and proves nothing; one of its models has no price."""
    loop, run = "ticket-triage", "r-tt-21"
    await led.run(loop, run, at(21, 9))
    (ticket,) = await led.items(loop, run, at(21, 9, 1), "T-1")
    await led.call(loop, run, ticket, at(21, 9, 2), Usage(1_234, 56))
    await led.call(loop, run, ticket, at(21, 9, 3), Usage(777, 77), model=HOUSE)
    await led.free(loop, run, ticket, at(21, 9, 4), "tool", "linear.label_ticket", role="lead")
    await led.close(ticket, at(21, 9, 5))
    yield "triaged"


async def night_fix_failures(led: Ledger) -> AsyncIterator[str]:
    """22 Nov: a refused call, a lost one that answers late after its repetition, one nobody can vouch for."""
    loop, run = "night-fix", "r-nf-22"
    await led.run(loop, run, at(22))
    (item,) = await led.items(loop, run, at(22, 2, 1), "test_c")
    place, tried = await led.open(loop, run, item, at(22, 2, 2), role="maker", lane="maker")
    await led.store.fail(
        place,
        tried.attempt,
        status="failed",
        error="unavailable",
        attributes={"error.message": SECRET_TEXT},
        now=at(22, 2, 3),
    )
    yield "failed"
    place, lost = await led.open(
        loop, run, item, at(22, 2, 4), role="maker", lane="maker", step=900, reserved=10**12
    )
    await led.store.fail(
        place, lost.attempt, status="unknown", error="unknown", attributes={}, now=at(22, 2, 5)
    )
    yield "lost"
    _, again = await led.open(loop, run, item, at(22, 2, 6), role="maker", lane="maker", step=900)
    await led.answered(place, again, at(22, 2, 7), Usage(3_000, 300))
    yield "repeated"
    await led.answered(place, lost, at(22, 2, 8), Usage(3_000, 299))
    yield "late"
    place, lost = await led.open(
        loop, run, item, at(22, 2, 9), role="maker", lane="maker", reserved=250_000_000_000
    )
    await led.store.fail(
        place,
        lost.attempt,
        status="unknown",
        error="A page: " + SECRET_TEXT,
        attributes={},
        now=at(22, 2, 10),
    )
    yield "unknown"
    await led.open(loop, run, item, at(22, 2, 11), role="maker", lane="maker", reserved=7)
    yield "under way"


async def tell(store: SqlStore) -> AsyncIterator[str]:
    """The three nights; after each thing told something else may happen to the store or the lake."""
    led = Ledger(store)
    for story in (night_fix_accepted, ticket_triage_unpriced, night_fix_failures):
        async for said in story(led):
            yield said


async def tell_all(store: SqlStore) -> tuple[LedgerRow, ...]:
    """The whole story; the settled rows of the ledger, as the store has them."""
    async for _ in tell(store):
        pass
    return await store.ledger(after_seq=0)
