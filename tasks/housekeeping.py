"""Keep house: what no other process will do any more."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from governance.errors import Rejected
from tasks.outbox import drain
from tasks.world import World, now_ms


async def keep_store(world: World) -> tuple[str, ...]:
    """T10: open effects past their lease become unknown; cards past their deadline get their declared answer."""
    return await _keep_store(_Held(world))


async def send_due(world: World) -> int:
    """Send what the outbox still holds; how many went out."""
    return await _send_due(_Held(world))


async def sweep_boxes(world: World) -> tuple[str, ...]:
    """Remove boxes whose lease has ended; none where nothing isolates."""
    return await _sweep_boxes(_Held(world))


class _Held:
    """Carries the world into a task run: Prefect looks into arguments, and has no business in this one."""

    def __init__(self, world: World) -> None:
        self.world = world


@task(name="keep_store", cache_policy=NO_CACHE, persist_result=False)
async def _keep_store(held: _Held) -> tuple[str, ...]:
    return await held.world.store.sweep(now_ms())


@task(name="send_due", cache_policy=NO_CACHE, persist_result=False)
async def _send_due(held: _Held) -> int:
    return await drain(held.world)


@task(name="sweep_boxes", cache_policy=NO_CACHE, persist_result=False)
async def _sweep_boxes(held: _Held) -> tuple[str, ...]:
    try:
        sandbox = await held.world.sandbox()
    except Rejected:
        return ()
    return await sandbox.sweep(now_ms() // 1000)
