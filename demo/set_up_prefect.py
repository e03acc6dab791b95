"""Give a fresh Prefect server what the world needs: blocks from standard input, the work pool, rules, what it watches for.

Input: {"pool": {"name": …, "limit": …}, "blocks": {"slug/name": {field: value}}}.
"""

import asyncio
import json
import sys

from prefect import get_client
from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.actions import WorkPoolCreate

from blocks import Journal, McpServer, ModelProvider, Repository, StoreDatabase
from cli.apply import apply_registry
from cli.source import load_registry
from cli.store import open_cli_store
from tasks.world import registry_root

TYPES: tuple[type[Block], ...] = (
    Journal, McpServer, ModelProvider, Repository, StoreDatabase, CustomWebhookNotificationBlock,
)  # fmt: skip


async def pool(name: str, limit: int) -> None:
    """A pool of processes. The limit is the pool's: a worker's own dies when a run is resumed quickly."""
    wanted = WorkPoolCreate(name=name, type="looprail", concurrency_limit=limit)
    async with get_client() as client:
        await client.create_work_pool(wanted, overwrite=True)


def main() -> None:
    """Make the pool and save each block; what has the name is replaced."""
    told = json.load(sys.stdin)
    asyncio.run(pool(**told["pool"]))
    by_slug = {of.get_block_type_slug(): of for of in TYPES}
    for document, fields in told["blocks"].items():
        slug, _, name = document.partition("/")
        by_slug[slug](**fields).save(name, overwrite=True)
    registry, store = load_registry(registry_root()), open_cli_store().store
    asyncio.run(apply_registry(registry, store, "demo"))


if __name__ == "__main__":
    main()
