"""Three days of three teams with everything in them that a ledger can hold, told through the edge to a real store.

The far side alone is made up. Days count back from today, so that `loops top` sees them.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from drivers.store.store import SqlStore
from governance.budgets import BudgetRule
from governance.charges import Amounts
from governance.conversation import EMPTY_HEAD, ModelRequest, Reply, ToolResult, Usage, user
from governance.edge import Edge
from governance.effects import Admitted, Intent, Kind, Place, Principal, Settlement
from governance.errors import LoopError, Unavailable, Unknown
from governance.guardrails import Screen
from governance.limits import own_charges
from governance.parts import DAY_MS, PICO, short_id
from governance.prices import Book, BoxTime, Contract
from governance.prices.contract import ModelTerms, SandboxRate
from governance.records import Budget, Finding

MODELS = {"sonnet": "claude-sonnet-4-6", "opus": "claude-opus-4-8", "house": "house-model"}
"""By the name in org.yaml; nobody knows a price of the last."""
LONG_AGO = date(2020, 1, 1)
BOOK = Book(
    Contract(
        models=(ModelTerms(model=MODELS["sonnet"], starts=LONG_AGO, discount=Decimal("0.15")),),
        sandbox=(
            SandboxRate(
                starts=LONG_AGO,
                vcpu_second_usd=Decimal("0.000012"),
                gib_second_usd=Decimal("0.0000015"),
            ),
        ),
    )
)
RULES = (BudgetRule(name="ops-day", usd=Decimal(50), per="day", team="ops-*", each=("team",)),)
LOOPS = {
    "night-fix": ("noor", "ops-platform"),
    "ticket-triage": ("ines", "ops-support"),
    "probe": ("ada", "lab"),
}
"""Owner and team. Nothing caps the lab's USD, so that it may call what has no price."""
TODAY = datetime.now(UTC).date()
BOX = BoxTime(cpus=2, memory_mb=1536, limit_ms=60_000)


def at(days_ago: int, hour: int = 2, minute: int = 0, ms: int = 0) -> int:
    """A moment of that UTC day."""
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(days_ago)
    return int(midnight.timestamp() * 1000) + (hour * 60 + minute) * 60_000 + ms


@dataclass
class Everything:
    """One store, a clock that a story moves, and the edge that all of it passes."""

    store: SqlStore
    now: int = 0
    nth: "count[int]" = field(default_factory=count)
    runs: dict[str, str] = field(default_factory=dict[str, str])
    """Loop by run, as they were opened."""

    @property
    def edge(self) -> Edge:
        return Edge(self.store, lambda: self.now, Screen, book=BOOK)

    async def run(self, loop: str, run: str, now: int, *names: str) -> list[str]:
        """A run with claimed items."""
        self.now = now
        unit, cap = ("tokens", 10**9) if loop == "probe" else ("usd", 20 * PICO)
        caps = (Budget(f"run:{run}:{unit}", run, cap),)
        await self.store.open_run(
            run, loop=loop, slot=run, flow_run=f"f-{run}", definition="sha256:d", budgets=caps, now=now
        )  # fmt: skip
        found = tuple((short_id("i", loop, n, run), Finding(n, f"fix {n}", "")) for n in names)
        await self.store.found(
            run, found, definition="sha256:d", budgets=(), state=None, summary="", now=now
        )
        for item, _ in found:
            await self.store.claim(
                item, flow_run=f"w-{item}", now=now, lease=now + DAY_MS, max_lives=9
            )
        self.runs[run] = loop
        return [item for item, _ in found]

    def intent(
        self, run: str, owner: str, kind: Kind, name: str, *, agent: str, step: int | None = None,
        **more: Any,
    ) -> Intent:  # fmt: skip
        """What an agent of the run's loop is about to do now."""
        loop = self.runs[run]
        role = {"drafter": "maker", "reviewer": "checker"}.get(agent, agent)
        place = Place(run, owner, 1, agent, next(self.nth) if step is None else step, 0)
        return Intent(
            place=place, kind=kind, name=name, principal=Principal(loop, *LOOPS[loop], agent, role), rule="granted",
            head=EMPTY_HEAD, args={}, fence=0 if owner == run else 1, now=self.now, send_by=self.now + 1000,
            lease=self.now + 3_600_000, repeatable=True, **more,
        )  # fmt: skip

    async def model(
        self, run: str, owner: str, name: str, usage: Usage | LoopError, *, agent: str = "lead",
        takes_ms: int = 4000, step: int | None = None,
    ) -> Intent:  # fmt: skip
        """A model call that answers so, or fails so."""
        attributes = {"gen_ai.request.model": MODELS[name]}
        intent = self.intent(
            run, owner, "model", name, agent=agent, step=step, attributes=attributes
        )

        async def reply(_: ModelRequest, *, timeout_s: float) -> Reply:
            self.now += takes_ms
            if isinstance(usage, LoopError):
                raise usage
            return Reply(
                ({"type": "text", "text": "fine"},), "end_turn", usage, MODELS[name], "m", "r"
            )

        asked = ModelRequest(MODELS[name], "", (user("hello"),), max_tokens=9_000)
        await self._tried(lambda: self.edge.model(_Port(reply), asked, intent, timeout_s=9))
        return intent

    async def tool(
        self, run: str, owner: str, name: str, price_usd: Decimal | None, *, fails: LoopError | None = None,
        agent: str = "lead",
    ) -> None:  # fmt: skip
        """A tool call at a price, at an explicit 0, or at none that anybody declared."""
        intent = self.intent(run, owner, "tool", name, agent=agent)

        async def call(*_: Any, **__: Any) -> ToolResult:
            self.now += 700
            if fails:
                raise fails
            return ToolResult("found")

        port: Any = _Port(call)
        await self._tried(
            lambda: self.edge.tool(
                port, name, intent, labels=(), timeout_s=9, max_bytes=99, price_usd=price_usd
            )
        )

    async def command(self, run: str, owner: str, ms: int, *, box: BoxTime | None = BOX) -> None:
        """A verifier's command, in a box of a size or in one that nobody put a rate on."""
        intent = self.intent(run, owner, "sandbox", "verify", agent="verifier")

        async def act() -> Settlement:
            self.now += ms
            return Settlement(self.now, {}, None, "undeclared", {}, head=EMPTY_HEAD)

        await self.edge.local(intent, act, box=box)

    async def late(self, intent: Intent, usage: Usage) -> None:
        """The first try of a call, given up long ago, answers after all."""
        rated = BOOK.rate(usage, MODELS[intent.name], intent.now)
        await self.store.done(
            intent.place, 1,
            Settlement(
                self.now, {}, rated.cost, rated.status, rated.price, rated.list_cost, usage,
                Amounts(rated.cost, usage.total, steps=1, calls=1), EMPTY_HEAD, response_model=MODELS[intent.name],
            ),
        )  # fmt: skip

    async def under_way(self, run: str, owner: str, worst: int) -> None:
        """A call that has not come back."""
        most = Amounts(worst, 10, steps=1, calls=1, concurrent=1)
        intent = self.intent(
            run, owner, "model", "sonnet", agent="lead", attributes={"gen_ai.request.model": MODELS["sonnet"]}
        )  # fmt: skip
        got = await self.store.intend(
            replace(intent, most=most, charges=own_charges(intent.place, most))
        )
        assert isinstance(got, Admitted), got

    async def _tried(self, act: Callable[[], Awaitable[object]]) -> None:
        with suppress(Unavailable, Unknown):
            await act()


class _Port:
    """The far side of one call."""

    def __init__(self, does: Callable[..., Awaitable[Any]]) -> None:
        self.reply = self.call = does

    async def tools(self) -> Any:
        raise AssertionError("nobody lists here")

    async def count(self, request: ModelRequest) -> int:
        raise AssertionError("nobody counts here")


async def tell(store: SqlStore) -> Everything:
    """All of it."""
    told = Everything(store)
    await store.put_rules(RULES, (), by="noor", now=at(9))
    await _platform(told)
    await _support(told)
    await _lab(told)
    return told


async def _platform(told: Everything) -> None:
    """Two days ago, over midnight: every way a call may end."""
    run = "r-nf"
    fixed, lost = await told.run("night-fix", run, at(2), "test_a", "test_b")
    await told.model(run, run, "sonnet", Usage(5_003, 401))
    await told.command(run, fixed, 1_337)
    await told.model(
        run, fixed, "sonnet", Usage(11_000, 900, 8_000, 2_000, 500, 300), agent="drafter"
    )
    await told.model(run, fixed, "opus", Usage(6_001, 333), agent="reviewer")
    await told.tool(run, fixed, "forge.open", Decimal("0.0137"), agent="loop")
    await told.model(run, lost, "sonnet", Unavailable("model", "down"), agent="drafter")
    await told.tool(run, lost, "forge.search", Decimal("0.002"), fails=Unknown("forge", "lost"))
    gone = await told.model(run, lost, "sonnet", Unknown("model", "lost"), agent="drafter")
    step = gone.place.step
    await told.model(run, lost, "sonnet", Usage(3_000, 300), agent="drafter", step=step)
    told.now = at(2, 23, 59, 59_000)
    await told.model(run, lost, "opus", Usage(777, 77), agent="reviewer")
    await told.model(run, lost, "opus", Unknown("model", "lost"), agent="reviewer")
    told.now = at(1, 5)
    await told.late(gone, Usage(3_000, 299))


async def _support(told: Everything) -> None:
    """Yesterday and today: what a bill will resolve, what it cannot yet, and what is still held."""
    run = "r-tt"
    (ticket,) = await told.run("ticket-triage", run, at(1, 9), "T-1")
    await told.model(run, ticket, "sonnet", Usage(1_234, 56))
    await told.tool(run, ticket, "desk.label", Decimal(0))
    await told.tool(run, ticket, "desk.comment", None)
    await told.model(run, ticket, "opus", Unknown("model", "lost"))
    run = "r-tt-now"
    (ticket,) = await told.run("ticket-triage", run, at(0, 0, 30), "T-2")
    await told.model(run, ticket, "sonnet", Usage(4_321, 65))
    await told.model(run, ticket, "sonnet", Unknown("model", "lost"))
    await told.under_way(run, ticket, 7_000_000_000)


async def _lab(told: Everything) -> None:
    """Yesterday, without a cap on USD: a model, a tool and a box without a price."""
    run = "r-lab"
    (thing,) = await told.run("probe", run, at(1, 12), "idea")
    await told.model(run, thing, "house", Usage(777, 77))
    await told.model(run, thing, "opus", Usage(99, 9))
    await told.tool(run, thing, "web.search", None)
    await told.command(run, thing, 50, box=None)
