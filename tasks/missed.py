"""Make sure that no heartbeat is waited for in vain: missed slots are sent, those that hang are ended."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.breaker import weigh
from tasks.slots import make_up
from tasks.world import World, now_ms


class _Held:
    """Carries the world into a task run: Prefect looks into arguments, and has no business in this one."""

    def __init__(self, world: World) -> None:
        self.world = world


async def keep_beats(world: World) -> tuple[str, ...]:
    """End heartbeats past their lease, weigh loops whose process died before it could, send missed slots."""
    return await _keep_beats(_Held(world))


@task(name="keep_beats", cache_policy=NO_CACHE, persist_result=False)
async def _keep_beats(held: _Held) -> tuple[str, ...]:
    world = held.world
    said = [f"heartbeat {row.run} hung" for row in await world.store.end_stuck(now_ms())]
    for loop in world.registry.loops.values():
        await weigh(world, loop)
        if slot := await make_up(world, loop):
            said.append(f"{loop.name}: missed slot {slot} sent")
    return tuple(said)
