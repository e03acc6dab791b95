"""Which slot does a firing stand for, and which missed one is sent?

A firing by schedule is only a call to look at the calendar: the slot it runs is the one that is due now by the loop
file, whichever firing comes, and however late. So of a heap of late firings one runs, and the rest find nothing due.
"""

from dataclasses import dataclass
from typing import Literal

from prefect import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.logging import get_logger

from governance.calendar import MOST_MISSED, candidates, due, moment_of, slot_name
from governance.definition import Loop
from governance.effects import Stop
from governance.firing import delivery_slot, firing_key, wrong_delivery
from tasks.outbox import UNSENT
from tasks.world import World, now_ms

logger = get_logger("looprail.slots")

GRACE_MS = 300_000
"""So long a slot's own firing may take to come before the slot is made up for without it."""

TIMES = 5
"""Flow runs that one missed slot gets at most: each may be cancelled before it has opened its run."""


@dataclass(frozen=True)
class Firing:
    """What came with one flow run of `heartbeat`."""

    flow_run: str
    due_at: int | None
    """The moment a schedule meant it for."""
    slot: str | None = None
    delivery: str | None = None
    payload: str | None = None


async def slot_of(world: World, loop: Loop, firing: Firing) -> str | Stop:
    """The slot this firing runs, the same in each of its lives; a stop when there is none for it."""
    if earlier := await world.store.run_of(firing.flow_run):
        return earlier.slot
    named = "none" if firing.delivery is None else firing.delivery
    if wrong := wrong_delivery(named, firing.payload):
        return Stop("denied", f"{wrong}. Nothing was run.")
    if firing.delivery is not None:
        return delivery_slot(firing.delivery)
    if firing.slot is not None:
        moment = moment_of(firing.slot)
        if moment is None:
            detail = f"slot {firing.slot[:60]!r} is no moment such as '2026-06-08T06:00:00Z'"
            return Stop("denied", f"{detail}. Nothing was run.")
        return slot_name(moment)
    if firing.due_at is None:
        return f"by-hand-{firing.flow_run}"
    return await _due_now(world, loop, firing.due_at)


async def _due_now(world: World, loop: Loop, meant: int) -> str | Stop:
    # A scheduler whose clock is ahead of ours may fire before our clock shows the slot.
    now = max(meant, now_ms())
    slots = await _due(world, loop, since=meant - 1, now=now)
    if slots:
        return slot_name(slots[0])
    return Stop(
        "cancelled",
        f"slot {slot_name(meant)} is not due: it was run, skipped or missed (trigger.missed is "
        f"{loop.trigger.missed!r}), or it is not in the schedule as the loop file has it now",
    )


async def make_up(world: World, loop: Loop) -> str | None:
    """Send the missed slot that is next, if its own firing has not come by now; its name.

    One at a time: what is sent has its run, or is found cancelled, before another follows.
    """
    if loop.trigger.missed == "skip" or await world.store.breaker(loop.name):
        return None
    now = now_ms()
    slots = await _due(world, loop, since=now, now=now)
    if not slots or slots[0] > now - GRACE_MS:
        return None
    slot = slot_name(slots[0])
    try:
        said = await _send(loop.name, slot)
    except UNSENT as error:
        logger.warning("missed slot %s of %s is not sent yet: %s", slot, loop.name, error)
        return None
    if said == "sent":
        return slot
    upto = slots[-1] if said == "paused" else slots[0]
    await world.store.deal_with(loop.name, upto, let_go=said == "cancelled", now=now_ms())
    return None


async def _due(world: World, loop: Loop, *, since: int, now: int) -> tuple[int, ...]:
    """What is still to be run, in order; how far the calendar is dealt with is on record behind it."""
    trigger, store = loop.trigger, world.store
    upto = 0
    if trigger.missed != "skip":
        read_as = f"{trigger.schedule} {trigger.timezone} {trigger.missed}"
        upto = await store.calendar(loop.name, read_as, since=since)
    found = candidates(trigger, upto=upto, now=now)
    if not found:
        return ()
    slots = found[-MOST_MISSED:]
    left = due(trigger, slots, await store.beats(loop.name, since=slots[0] - 1))
    if trigger.missed != "skip":
        dealt = left[0] - 1 if left else slots[-1]
        await store.deal_with(loop.name, dealt, let_go=len(found) > len(slots), now=now)
    return left


async def _send(loop: str, slot: str) -> Literal["sent", "paused", "cancelled"]:
    """A flow run for the slot is on its way; or a person paused the schedule, and what passes is not missed; or as
    many flow runs as it gets have come to nothing.
    """
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(f"heartbeat/{loop}")
        if deployment.paused or not any(s.active for s in deployment.schedules):
            return "paused"
        for nth in range(TIMES):
            run: FlowRun = await client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"loop": loop, "slot": slot},
                idempotency_key=f"{firing_key(loop, slot)}-{nth}",
            )
            if run.state is None or not run.state.is_final():
                return "sent"
    return "cancelled"
