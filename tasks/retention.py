"""Let go of what is old: content by the organisation's word, blobs when no row names them."""

import json

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from governance.upkeep import Forgotten
from tasks.housekeeping import Held, told
from tasks.world import World, now_ms

GRACE_S = 7 * 86_400
"""A blob is put before the row that names it is written, and a process may hold one in mind for days."""


async def forget(world: World) -> None:
    """Drop the content of what ended longer ago than `retention.content`; without it everything stays."""
    await _forget(Held(world))


async def sweep_blobs(world: World) -> None:
    """Remove the blobs that no row names and that nobody has put for a week."""
    await _sweep_blobs(Held(world))


@task(name="forget", task_run_name="forget old content", cache_policy=NO_CACHE, persist_result=False)  # fmt: skip
async def _forget(held: Held) -> State[None]:
    keep = held.world.registry.organisation.retention.content
    if keep is None:
        return told(["retention.content is not set: everything is kept"])
    gone, before = Forgotten(), now_ms() - int(keep.total_seconds() * 1000)
    while (portion := await held.world.store.forget(before)).any:
        gone += portion
    said = f"{gone.items:,} items, {gone.heartbeats:,} heartbeats: {gone.entries:,} entries, {gone.cards:,} cards"
    return told([f"{said} are without content"] if gone.any else [])


@task(name="sweep_blobs", task_run_name="sweep blobs", cache_policy=NO_CACHE, persist_result=False)
async def _sweep_blobs(held: Held) -> State[None]:
    count, size = await sweep(held.world, now_ms() // 1000 - GRACE_S)
    return told([f"{count:,} blobs removed, {size / 1e6:,.1f} MB"] if count else [])


async def sweep(world: World, before: int) -> tuple[int, int]:
    """Remove unnamed blobs last put before this Unix second; how many, and their bytes.

    Raises `StoreError` before anything is removed when a manifest cannot be read: what it names is not known.
    """
    used = await world.store.in_use()
    keep = set(used.bodies | used.states)
    for state in used.states:
        spelled = json.loads(await world.blobs.get(state))
        # A link's target stands where a file's blob does; it names nothing here.
        keep.update(blob for _, blob in spelled.values())
    return await world.blobs.sweep(keep, before)
