"""Send what the store says must be sent: dispatches, wake-ups, restarts, notices. Repeating it sends nothing twice.

A dispatch is idempotent in Prefect by its key; a wake-up of a run that is already awake is refused by Prefect and
is then done. Notices are sent by one process of this machine at a time; one may, at worst, arrive once more after a
crash between sending and noting it.
"""

from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.logging import get_logger
from prefect.states import AwaitingRetry

from drivers.crash import point
from drivers.home import home
from drivers.locks import held
from governance.approvals import plain
from governance.effects import Stop
from governance.errors import Damaged
from governance.records import Outgoing, OutgoingKind
from tasks.endings import give_up
from tasks.notices import notify
from tasks.people import form_answer
from tasks.switches import end, fire, switch
from tasks.world import World, now_ms

logger = get_logger("looprail.outbox")

MOST = 100_000
"""Rows of the outbox that are looked through for one."""

TITLE = 120
"""Characters of a finding's title that its flow run is named by."""

UNSENT = (PrefectException, httpx.HTTPError, OSError, ValueError)
"""A server or webhook that does not answer, a deployment or block that is not there yet."""


async def drain(world: World, only: OutgoingKind | None = None) -> int:
    """Send what is due, or of one kind; how many went out. What cannot be sent now stays for the next time."""
    count = 0
    for due in await world.store.outbox():
        if only not in (None, due.kind):
            continue
        try:
            count += await _send(world, due)
        except (*UNSENT, Damaged) as error:
            # One row that nobody can believe holds up no other.
            logger.warning("%s %s is not sent yet: %s", due.kind, due.key, error)
    return count


async def _send(world: World, due: Outgoing) -> bool:
    """Whether it went out now."""
    if due.kind != "notice":
        return await _put_out(world, due)
    async with held(home() / "notices.lock"):
        # Whoever had its turn before us has sent it, maybe.
        still = await world.store.outbox(MOST)
        return (due.kind, due.key) in {(d.kind, d.key) for d in still} and await _put_out(
            world, due
        )


async def _put_out(world: World, due: Outgoing) -> bool:
    flow_run = None
    if due.kind == "dispatch":
        flow_run = await _dispatch(due)
    elif not await _tell(world, due):
        return False
    await world.store.sent(due.kind, due.key, now=now_ms(), flow_run=flow_run)
    return True


async def _tell(world: World, due: Outgoing) -> bool:
    """Whether it went out; what is not there yet goes out another time."""
    match due.kind:
        case "resume":
            return await _resume(world, due)
        case "end":
            return await end(due)
        case "fire":
            await fire(due)
        case "restart":
            await _restart(due)
        case "notice":
            point("before-notice")
            await notify(world, due)
            point("after-notice")
        case _:
            await switch(world, due)
    return True


async def _dispatch(due: Outgoing) -> str:
    """One work run for the item; asking again returns the run that is already there."""
    loop, item = str(due.payload["loop"]), str(due.payload["item"])
    title = plain(str(due.payload["title"]))[:TITLE]
    async with get_client() as client:
        deployment = await client.read_deployment_by_name(f"work/{loop}")
        point("before-dispatch")
        run = await client.create_flow_run_from_deployment(
            deployment.id,
            name=f"{loop}: {title}",  # also while it waits for a worker
            parameters={"loop": loop, "item": item, "title": title},
            idempotency_key=due.key,
        )
        point("after-dispatch")
    return str(run.id)


async def _restart(due: Outgoing) -> None:
    """Start a flow run again whose process is gone, unless something has become of it meanwhile.

    Forced, because every ordinary way out of an ended state makes Prefect forget the forms it has answers to.
    """
    flow_run = UUID(str(due.payload["flow_run"]))
    async with get_client() as client:
        try:
            run = await client.read_flow_run(flow_run)
        except ObjectNotFound:
            return
        if run.state is not None and str(run.state.id) == due.payload["state"]:
            again = AwaitingRetry(message=str(due.payload["why"]))
            await client.set_flow_run_state(flow_run, again, force=True)


async def _resume(world: World, due: Outgoing) -> bool:
    """Wake the item's flow run if it is suspended; False while it is still on its way to being suspended.

    What is to wake an item from one wait does not wake it from a later one. An item whose cards cannot be believed is not
    woken: it ends here.
    """
    item = await world.store.item(str(due.payload["item"]))
    if item is None or item.flow_run is None or item.status in ("done", "stopped"):
        return True
    if due.payload.get("posted_n", item.posted_n) != item.posted_n:
        return True
    try:
        cards = await world.store.cards(item=item.item, open_only=False)
    except Damaged as error:
        await give_up(world, item, Stop("damaged", str(error)))
        return True
    asked = [c for c in cards if c.posted_n == item.posted_n]
    async with get_client() as client:
        try:
            run = await client.read_flow_run(UUID(item.flow_run))
        except ObjectNotFound:
            return True
        if run.state_type == StateType.PAUSED:
            point("before-resume")
            form = form_answer(asked) if asked else None
            answer = await client.resume_flow_run(UUID(item.flow_run), run_input=form)
            point("after-resume")
            return answer.status.value == "ACCEPT"
        return item.status != "waiting"
