"""What is different since this item began to wait? It is on record and before people's eyes before it goes on."""

from prefect import get_client
from prefect.artifacts import acreate_markdown_artifact
from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound

from blocks import McpServer, ModelProvider, Repository
from governance.approvals import inline
from governance.conversation import EMPTY_HEAD
from governance.parts import Json
from governance.standing import differences, standing
from tasks.job import Job
from tasks.world import now_ms

NOTE = "changed while it waited"
"""How the entry of the journal is called that holds the differences."""


async def in_force(job: Job) -> Json:
    """What stands now for this job's loop, the identity of each credential with it, and no secret."""
    return standing(job.world.registry, job.loop.name, await _credentials(job))


async def note_changes(job: Job) -> None:
    """Compare with what was noted when the last form was posted; each wait once."""
    assert job.item is not None
    if job.item.noted is None:
        return
    place = job.place(0, "waited", job.item.posted_n, 0)
    if place.key not in job.results:
        told = differences(job.item.noted, await in_force(job), job.item.definition)
        job.results[place.key] = await job.world.store.record(
            place, kind="note", name=NOTE, head=EMPTY_HEAD, head_after=EMPTY_HEAD, args={},
            result={"changes": list(told)}, labels=(), fence=job.fence, now=now_ms(),
        )  # fmt: skip
        await _show(job, told)


def changes_of(job: Job) -> tuple[str, ...]:
    """All that changed while this item waited, the first wait first."""
    noted = sorted(
        (key for key, done in job.results.items() if done.kind == "note"),
        key=lambda key: int(key.split("-")[-2]),
    )
    return tuple(str(c) for key in noted for c in job.results[key].result["changes"])


async def _show(job: Job, changes: tuple[str, ...]) -> None:
    if changes:
        lines = "\n".join(f"- {inline(change)}" for change in changes)
        await acreate_markdown_artifact(
            f"## Changed while it waited\n\n{lines}", key=f"changes-{job.owner}"
        )


async def _credentials(job: Job) -> dict[str, str]:
    """`<document id> <time of its last change>` of each block this loop reaches."""
    organisation, loop = job.world.registry.organisation, job.loop
    granted = {c for agent in (loop, *loop.subagents) for c in agent.mcp_servers}
    blocks: set[tuple[type[Block], str]] = {
        (McpServer, organisation.connectors[c].server)
        for c in granted
        if c in organisation.connectors
    }
    blocks |= {(ModelProvider, m.provider) for m in job.pinned.models.values()}
    if loop.workspace and loop.workspace.repository in organisation.repositories:
        blocks.add((Repository, organisation.repositories[loop.workspace.repository].repository))
    found: dict[str, str] = {}
    async with get_client() as client:
        for kind, name in blocks:
            slug = kind.get_block_type_slug()
            try:
                document = await client.read_block_document_by_name(
                    name, slug, include_secrets=False
                )
            except ObjectNotFound:
                continue
            found[f"{slug}/{name}"] = f"{document.id} {document.updated}"
    return found
