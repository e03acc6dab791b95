"""Is what waited for a person's word on its way again?"""

from collections.abc import Sequence

from cli.server import reaching_prefect
from governance.errors import LoopError
from governance.memory import Store


async def wake(store: Store, card: str) -> tuple[bool, str]:
    """Send what is due, once; whether the card's run is woken, and a sentence that says so."""
    try:
        await _drain()
    except LoopError as error:
        why = f" ({error})"
    else:
        why = ""
    due = {row.key for row in await store.outbox(100_000) if row.kind == "resume"}
    if card not in due:
        return True, "The waiting run is woken."
    return False, f"The answer is on record; housekeeping will wake the waiting run{why}."


async def hand_out(
    store: Store, items: Sequence[str], what: str = "what had stopped or waited",
    then: str = "goes on at its next step",
) -> tuple[bool, str]:  # fmt: skip
    """Send what is due, once; whether each of these items is on its way, and a sentence that says so."""
    why = ""
    try:
        await _drain()
    except LoopError as error:
        why = f" ({error})"
    outgoing = await store.outbox(100_000)
    due = {row.payload["item"] for row in outgoing if row.kind in ("dispatch", "resume")}
    if not due.intersection(items):
        return True, f"{what.capitalize()} is on its way; it {then}."
    return False, f"It is on record; housekeeping will have {what} go on{why}."


async def _drain() -> None:
    """Raises `LoopError` when Prefect or the registry does not let us."""
    with reaching_prefect():
        from tasks.outbox import drain
        from tasks.world import open_world

        async with open_world() as world:
            await drain(world)
