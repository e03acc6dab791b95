"""Has a loop spent for nothing often enough to be paused?"""

from governance.breaker import tripped
from governance.definition import Loop
from governance.errors import StoreError
from governance.records import BreakerRow
from governance.statepage import people_of, state_page
from tasks.life import COMPOSED_AT_MOST
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
    now, after = now_ms(), endings[0].run
    for _ in range(COMPOSED_AT_MOST):
        page = await store.state(loop.name)
        items = await store.items(loop=loop.name)
        said = people_of(page.body if page else None)
        paused = await store.trip(
            loop.name,
            after,
            why=why,
            state=state_page(loop.name, items, said, BreakerRow(loop.name, 0, after, why, now)),
            seen=page.version if page else 0,
            now=now,
        )
        if isinstance(paused, BreakerRow):
            return paused
    raise StoreError(
        f"the state page of loop {loop.name!r} was written by others {COMPOSED_AT_MOST} times while the loop was "
        "being paused. The next heartbeat tries again."
    )
