"""Has a loop spent for nothing often enough to be paused?"""

from governance.breaker import tripped
from governance.definition import Loop
from governance.records import BreakerRow
from governance.statepage import people_of, state_page
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
    now = now_ms()
    page = await store.state(loop.name)
    pause = BreakerRow(loop.name, 0, endings[0].run, why, now)
    items = await store.items(loop=loop.name)
    return await store.trip(
        loop.name,
        endings[0].run,
        why=why,
        state=state_page(loop.name, items, people_of(page.body if page else None), pause),
        now=now,
    )
