"""A run with one claimed item, and short words for what happens to it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drivers.blobs import DirectoryBlobs
from drivers.store import open_store
from drivers.store.store import SqlStore
from governance.charges import Amounts, Charge
from governance.conversation import Usage
from governance.effects import Admitted, Intent, Place, Principal, Settlement
from governance.parts import short_id
from governance.records import Budget, Card, Finding, ItemRow

LOOP, RUN, FLOW = "triage", "r1", "flow-1"
LEAD = Principal(LOOP, "noor", "platform", "lead", "lead")
HEAD = "sha256:" + "a" * 64
TREE = "t" * 40


PLACE = "store.url"


def store_in(directory: Path) -> SqlStore:
    """The store of a directory: a file there, or where the file `store.url` says."""
    place = directory / PLACE
    url = place.read_text() if place.exists() else f"sqlite://{directory}/store.db"
    return open_store(url, DirectoryBlobs(directory / "blobs"))


def finding(dedupe: str, run: str = RUN, loop: str = LOOP) -> tuple[str, Finding]:
    return short_id("i", loop, dedupe, run), Finding(dedupe, f"fix {dedupe}", "it is red")


@dataclass
class Story:
    """One store and where its story stands; `item` is claimed under `fence`."""

    store: SqlStore
    item: str = ""
    fence: int = 0

    async def open_run(
        self, run: str = RUN, slot: str = "06:00", *budgets: Budget, now: int = 1000
    ) -> None:
        await self.store.open_run(
            run,
            loop=LOOP,
            slot=slot,
            flow_run=f"heartbeat-{run}",
            definition="sha256:d",
            budgets=budgets,
            now=now,
        )

    async def find(
        self, *names: str, run: str = RUN, now: int = 1100, budgets: tuple[Budget, ...] = ()
    ) -> tuple[ItemRow, ...]:
        return await self.store.found(
            run,
            tuple(finding(n, run) for n in names),
            definition="sha256:d",
            budgets=budgets,
            state="# state",
            summary=f"{len(names)} found",
            now=now,
        )

    async def claim(
        self,
        item: str | None = None,
        *,
        flow_run: str = FLOW,
        now: int = 2000,
        lease: int = 60_000,
        max_lives: int = 10,
    ) -> Any:
        got = await self.store.claim(
            item or self.item, flow_run=flow_run, now=now, lease=now + lease, max_lives=max_lives
        )
        if hasattr(got, "item"):
            self.item, self.fence = got.item.item, got.item.fence
        return got

    async def seen(self) -> int:
        """The version of the loop's state page that is there now."""
        page = await self.store.state(LOOP)
        return page.version if page else 0

    def place(self, step: int = 0, lane: str = "lead", round: int = 1, ordinal: int = 0) -> Place:
        return Place(RUN, self.item, round, lane, step, ordinal)

    def intent(self, step: int = 0, *charges: Charge, now: int = 3000, **changes: Any) -> Intent:
        plain = Intent(
            place=self.place(step),
            kind="tool",
            name="github.list_issues",
            principal=LEAD,
            rule="granted",
            head=HEAD,
            args={"state": "open"},
            fence=self.fence,
            now=now,
            send_by=now + 1000,
            lease=now + 5000,
            repeatable=True,
            charges=charges,
        )
        return replace(plain, **changes)

    async def admit(self, step: int = 0, *charges: Charge, **changes: Any) -> Admitted:
        got = await self.store.intend(self.intent(step, *charges, **changes))
        assert isinstance(got, Admitted), got
        return got


def settled(
    *charges: Charge, now: int = 3500, result: Any = None, cost: int | None = 0, **more: Any
) -> Settlement:
    return Settlement(
        now=now,
        result=result or {"text": "fine"},
        cost=cost,
        cost_status="priced",
        price={"book": "p"},
        usage=Usage(input_tokens=10, output_tokens=5),
        paid=Amounts(**{c.unit: c.amount for c in charges}),
        head="sha256:after",
        **more,
    )


def usd(amount: int, budget: str = "run:r1:usd") -> Charge:
    return Charge(budget, RUN, amount)


def card_for(intent: Intent, name: str = "c1", **changes: Any) -> Card:
    card = Card(
        card=name,
        item=intent.place.owner,
        run=RUN,
        loop=LOOP,
        kind="approval",
        key=intent.place.key,
        tool=intent.name,
        arguments=intent.args,
        tool_digest="sha256:tool",
        policy_digest="sha256:policy",
        tree=intent.tree,
        by=LEAD,
        why="destructive",
        evidence=(),
        cost=0,
        diff="--- a\n+++ b\n",
        reach="github",
        asked_at=intent.now,
        deadline=None,
        on_deadline=None,
    )
    return replace(card, **changes)
