"""Which path does an item take where the sequence of effects has changed under it?

    if await changed(job, "verify-base-first"):
        ...  # as it is done now
    else:
        ...  # as it was done before; goes away once no item of that time is open

Source: docs/decisions/0018-markers-and-restarts.md
"""

from governance.conversation import EMPTY_HEAD
from tasks.job import Job
from tasks.world import now_ms


async def changed(job: Job, name: str) -> bool:
    """Whether this item takes the new path: it has nothing on record that comes after this place.

    Decided once for each item and name, on record, and the same in every later life. `name` is lower case, digits
    and dashes, and never used twice for two changes.
    """
    place = job.place(0, f"changed-{name}", 0, 0)
    if place.key not in job.results:
        job.results[place.key] = await job.world.store.record(
            place, kind="marker", name=name, head=EMPTY_HEAD, head_after=EMPTY_HEAD, args={},
            result={"changed": not job.ahead}, labels=(), fence=job.fence, now=now_ms(),
        )  # fmt: skip
    return bool(job.results[place.key].result["changed"])
