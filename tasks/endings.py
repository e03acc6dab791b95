"""What did an item come to, and what does its loop's page say of it, whoever ends it?"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from governance.effects import Stop
from governance.parts import Json
from governance.records import ItemRow, LedgerRow, PageMoved, RunRow
from governance.statepage import outcome_of
from tasks.page import on_the_page
from tasks.world import World, now_ms


async def acted(world: World, item: str) -> list[str]:
    """What was done for the item outside, as the ledger has it; reads are left out."""
    rows = await world.store.ledger(item=item)
    return [r.name for r in rows if r.status == "done" and _writes(world, r)]


def _writes(world: World, row: LedgerRow) -> bool:
    labels = world.registry.organisation.labels(row.name)
    return row.kind == "push" or (row.kind == "tool" and not (labels and labels.read_only))


async def so_far(world: World, item: str) -> Json:
    """The outcome of an item that was stopped: what was done, and no evidence or words about it."""
    return outcome_of(evidence=[], actions=await acted(world, item), claims="", links={})


async def on_its_page(
    world: World, ended: ItemRow, write: Callable[[str, int], Awaitable[RunRow | PageMoved]]
) -> RunRow:
    """Close an item together with its loop's page; `ended` is the item as it then stands."""
    pause = await world.store.breaker(ended.loop)
    return await on_the_page(world.store, ended.loop, write, ended=ended, pause=pause)


async def give_up(world: World, item: ItemRow, stop: Stop) -> RunRow:
    """End an item that no process of its own will end."""
    outcome = await so_far(world, item.item)

    async def write(state: str, seen: int) -> RunRow | PageMoved:
        return await world.store.give_up(
            item.item, stop=stop, outcome=outcome, state=state, seen=seen, now=now_ms()
        )

    ended = replace(item, status="stopped", outcome=outcome, stop=stop)
    return await on_its_page(world, ended, write)
