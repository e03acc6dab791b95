"""Which flow runs have lost their process, or were called off, and what is done about each?

The store says what is open, Prefect what became of its flow run; `governance.recovery` judges. Starting again goes
by the outbox under the name of that one ending, so two housekeepers, or one that dies between, start it once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast
from uuid import UUID

from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.input.actions import aread_flow_run_input
from prefect.runtime import flow_run

from governance.effects import Stop
from governance.errors import Damaged
from governance.pinned import Pinned
from governance.recovery import FlowState, Handed, Restart, Seen, care_of, silent
from tasks.endings import give_up
from tasks.lost import lost
from tasks.world import World, now_ms

AT_ONCE = 200
"""Flow runs that Prefect tells of in one answer at most."""


async def recover_all(world: World) -> tuple[str, ...]:
    """Look at every open item and heartbeat once; a line for each that needed something.

    Where Prefect's database was lost nothing counts as deleted: what it has forgotten is handed out anew.
    """
    handed = await world.store.handed_out()
    async with get_client() as client:
        found = await _flow_runs(client, [h.flow_run for h in handed])
        said: list[str] = []
        lives: dict[str, int] = {}
        gone = [work for work in handed if work.flow_run not in found]
        if gone and await lost(client, world):
            said += await world.store.hand_out_anew(gone, now=now_ms())
            handed = tuple(work for work in handed if work.flow_run in found)
        for work in handed:
            seen = await _seen(client, found.get(work.flow_run), work)
            care = await _care(world, work, seen, lives)
            if care is not None:
                said += await _take_care(world, work, seen, care)
    await world.store.kept_house(str(flow_run.id), now=now_ms())
    return tuple(said)


async def _flow_runs(client: PrefectClient, ids: Sequence[str]) -> dict[str, FlowRun]:
    found: dict[str, FlowRun] = {}
    for start in range(0, len(ids), AT_ONCE):
        some = [UUID(i) for i in ids[start : start + AT_ONCE]]
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=some))
        runs = await client.read_flow_runs(flow_run_filter=wanted, limit=AT_ONCE)
        found |= {str(run.id): run for run in runs}
    return found


async def _seen(client: PrefectClient, run: FlowRun | None, work: Handed) -> Seen | None:
    if run is None or run.state is None:
        return None
    state = run.state
    seen = Seen(
        state=str(state.id),
        type=cast(FlowState, state.type.value),
        since=int(state.timestamp.timestamp() * 1000),
        message=" ".join((state.message or "").split())[:300],
    )
    if state.is_paused() and work.status == "waiting":
        keys = state.state_details.run_input_keyset or {}
        return replace(seen, has_form=await _has_form(run.id, keys.get("schema")))
    # Asked only about a run that seems to have fallen silent, so that a busy house costs no question.
    return (
        replace(seen, heard=await _heard(client, run.id)) if silent(work, seen, now_ms()) else seen
    )


async def _heard(client: PrefectClient, run: UUID) -> int | None:
    """When a flow run's process last said that it lives."""
    wanted = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run}"]),
    )
    body = {"filter": wanted.model_dump(mode="json"), "limit": 1}
    answer = await client.request("POST", "/events/filter", json=body)
    found = answer.raise_for_status().json()["events"]
    if not found:
        return None
    return int(datetime.fromisoformat(found[0]["occurred"]).timestamp() * 1000)


async def _has_form(run: UUID, key: str | None) -> bool:
    return key is not None and bool(await aread_flow_run_input(key, flow_run_id=run))


async def _care(
    world: World, work: Handed, seen: Seen | None, lives: dict[str, int]
) -> Restart | Stop | None:
    """What it needs. One whose definition cannot be believed is not started again, and holds up nobody else."""
    try:
        most = await _max_lives(world, work.definition, lives)
    except Damaged as error:
        care = care_of(work, seen, max_lives=1, now=now_ms())
        return Stop("damaged", str(error)) if isinstance(care, Restart) else care
    return care_of(work, seen, max_lives=most, now=now_ms())


async def _max_lives(world: World, definition: str, known: dict[str, int]) -> int:
    if definition not in known:
        pinned = Pinned.model_validate_json(await world.store.definition(definition))
        known[definition] = pinned.loop.harness.max_lives
    return known[definition]


async def _take_care(
    world: World, work: Handed, seen: Seen | None, care: Restart | Stop
) -> Iterable[str]:
    if isinstance(care, Restart):
        assert seen is not None
        new = await world.store.restart(work.owner, work.flow_run, seen.state, care)
        return (f"{work.owner} of {work.loop} is started again: {care.why}",) if new else ()
    if work.status == "heartbeat":
        await world.store.give_up_run(work.owner, stop=care, now=now_ms())
    elif (item := await world.store.item(work.owner)) and item.flow_run == work.flow_run:
        await give_up(world, item, care)
    return (f"{work.owner} of {work.loop} has ended ({care.reason}): {care.detail}",)
