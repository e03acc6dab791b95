"""Keep house: what no other process will do any more. Each part is a task run that says what it did."""

from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed

from governance.errors import Rejected
from tasks.meter import show_meter
from tasks.outbox import drain
from tasks.recovery import recover_all
from tasks.world import World, now_ms

TOLD = 3
"""Lines that stand in a task run's message; all of them are in its log."""


async def keep_store(world: World) -> None:
    """T10: open effects past their lease become unknown; cards past their deadline get their declared answer."""
    await _keep_store(Held(world))


async def recover(world: World) -> None:
    """Start again what has lost its process, and end what was called off or died too often."""
    await _recover(Held(world))


async def send_due(world: World) -> None:
    """Send what the outbox still holds."""
    await _send_due(Held(world))


async def sweep_boxes(world: World) -> None:
    """Remove boxes whose lease has ended; none where nothing isolates."""
    await _sweep_boxes(Held(world))


async def keep_meter(world: World) -> None:
    """Bring the figures that Prefect shows of each loop and open run up to date."""
    await _keep_meter(Held(world))


class Held:
    """Carries the world into a task run: Prefect looks into arguments, and has no business in this one."""

    def __init__(self, world: World) -> None:
        self.world = world


def told(lines: Sequence[str]) -> State[None]:
    """A task run's last state, in words: what was done, or that there was nothing to do."""
    for line in lines:
        get_run_logger().info(line)
    more = f"; and {len(lines) - TOLD:,} more" if len(lines) > TOLD else ""
    return Completed(message="; ".join(lines[:TOLD]) + more if lines else "nothing to do")


@task(name="keep_store", task_run_name="expire", cache_policy=NO_CACHE, persist_result=False)
async def _keep_store(held: Held) -> State[None]:
    return told(await held.world.store.sweep(now_ms()))


@task(name="recover", cache_policy=NO_CACHE, persist_result=False)
async def _recover(held: Held) -> State[None]:
    return told(await recover_all(held.world))


@task(name="send_due", task_run_name="send what is due", cache_policy=NO_CACHE, persist_result=False)  # fmt: skip
async def _send_due(held: Held) -> State[None]:
    sent = await drain(held.world)
    return told([f"{sent:,} sent"] if sent else [])


@task(name="keep_meter", task_run_name="meter", cache_policy=NO_CACHE, persist_result=False)
async def _keep_meter(held: Held) -> State[None]:
    return told(await show_meter(held.world))


@task(name="sweep_boxes", task_run_name="sweep boxes", cache_policy=NO_CACHE, persist_result=False)
async def _sweep_boxes(held: Held) -> State[None]:
    try:
        sandbox = await held.world.sandbox()
    except Rejected as error:
        return told([f"no boxes here: {error}"])
    return told([f"removed {name}" for name in await sandbox.sweep(now_ms() // 1000)])
