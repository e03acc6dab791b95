"""What did a loop that must come to nothing do, and what did it leave behind?"""

from dataclasses import dataclass

from demo.forge.git import Bare
from demo.world import DemoWorld
from governance.effects import Evidence
from governance.records import ItemRow, LedgerRow
from tests.flows.telling import told

VICTIM = "victim"
"""A forge nobody ever merges anything into: for loops that must come to nothing."""
FIRE_S, FOLLOW_S = 240, 400


@dataclass(frozen=True)
class Ending:
    """One item at its end, with what is on record about it."""

    item: ItemRow
    evidence: tuple[Evidence, ...]
    ledger: tuple[LedgerRow, ...]
    """Every effect of the item."""
    page: str
    """The loop's state page as people and the next heartbeat read it."""
    before: str
    """The victim's branches when the loop fired."""
    after: str

    def calls_of(self, role: str) -> int:
        """Model calls by this role."""
        return sum(row.kind == "model" and row.principal.role == role for row in self.ledger)


async def ending_of(world: DemoWorld, loop: str) -> Ending:
    """Fire the loop and follow its one item to its end."""
    before = refs(world)
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
            before,
            refs(world),
        )


def refs(world: DemoWorld) -> str:
    """Every branch of the victim and where it points."""
    return Bare(world.upstreams[VICTIM].repository).run("for-each-ref")


def nothing_left(ending: Ending, *reasons: str) -> str:
    """Stopped for one of these reasons, nothing pushed or merged, and the state page says so; what was said."""
    stop = ending.item.stop
    assert ending.item.status == "stopped"
    assert stop is not None
    assert stop.reason in reasons, stop
    assert ending.before == ending.after
    assert [row.name for row in ending.ledger if row.kind in ("push", "tool")] == []
    section = ending.page.partition("## Ended otherwise")[2].partition("\n## ")[0]
    assert f"item {ending.item.item}" in section
    assert f"{stop.reason}: " in section
    return stop.detail
