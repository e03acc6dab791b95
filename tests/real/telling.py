"""What did a loop that must come to nothing do, and what did it leave behind?"""

from dataclasses import dataclass

from demo.forge.git import Bare
from demo.world import DemoWorld
from governance.effects import Evidence
from governance.records import ItemRow, LedgerRow
from tests.flows.telling import told
from tests.real.conftest import VICTIM

FIRE_S, FOLLOW_S = 180, 300


@dataclass(frozen=True)
class Ending:
    """One item at its end, with what is on record about it."""

    item: ItemRow
    evidence: tuple[Evidence, ...]
    ledger: tuple[LedgerRow, ...]
    page: str
    """The loop's state page as people and the next heartbeat read it."""

    def calls_of(self, role: str) -> int:
        """Model calls by this role."""
        return sum(row.kind == "model" and row.principal.role == role for row in self.ledger)


async def ending_of(world: DemoWorld, loop: str) -> Ending:
    """Fire the loop and follow its one item to its end."""
    with told(world, loop) as story:
        found = await story.fire(FIRE_S)
        assert len(found) == 1
        (item,) = await story.follow(found, FOLLOW_S)
        page = await story.store.state(loop)
        assert page is not None
        return Ending(
            item,
            tuple(await story.store.evidence(item.item)),
            tuple(await story.store.ledger(item=item.item)),
            page.body,
        )


def refs(world: DemoWorld, name: str = VICTIM) -> str:
    """Every branch of a forge and where it points."""
    return Bare(world.upstreams[name].repository).run("for-each-ref")


def nothing_left(world: DemoWorld, ending: Ending, before: str) -> None:
    """Stopped, nothing pushed, nothing merged, and the state page says why."""
    assert ending.item.status == "stopped"
    assert ending.item.stop is not None
    assert refs(world) == before
    assert [row.name for row in ending.ledger if row.kind in ("push", "tool")] == []
    section = ending.page.partition("## Ended otherwise")[2].partition("\n## ")[0]
    assert ending.item.item in section
    assert ending.item.stop.reason in section
