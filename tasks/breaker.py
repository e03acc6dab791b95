"""Has a loop spent for nothing often enough to be paused?"""

from governance.breaker import BreakerRow, tripped
from governance.definition import Loop
from governance.records import PageMoved
from tasks.page import on_the_page
from tasks.world import World, now_ms


async def weigh(world: World, loop: Loop) -> BreakerRow | None:
    """Pause the loop when its breaker trips; the pause, new or old. Repeating it changes nothing."""
    store = world.store
    if there := await store.breaker(loop.name):
        return there
    if loop.harness.breaker is None:
        return None
    endings = await store.endings(loop.name)
    why = tripped(endings, loop.harness.breaker.after)
    if why is None:
        return None
    after, now = endings[0].run, now_ms()

    async def write(state: str, seen: int) -> BreakerRow | PageMoved:
        return await store.trip(loop.name, after, why=why, state=state, seen=seen, now=now)

    return await on_the_page(
        store, loop.name, write, pause=BreakerRow(loop.name, 0, after, why, now)
    )
