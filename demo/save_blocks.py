"""Save blocks in Prefect from a JSON document on standard input: {"slug/name": {field: value}}."""

import json
import sys

from prefect.blocks.core import Block
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from blocks import Journal, McpServer, ModelProvider, Repository, StoreDatabase

TYPES: tuple[type[Block], ...] = (
    Journal, McpServer, ModelProvider, Repository, StoreDatabase, CustomWebhookNotificationBlock,
)  # fmt: skip


def main() -> None:
    """Save each; an existing one of that name is replaced."""
    by_slug = {of.get_block_type_slug(): of for of in TYPES}
    for document, fields in json.load(sys.stdin).items():
        slug, _, name = document.partition("/")
        by_slug[slug](**fields).save(name, overwrite=True)


if __name__ == "__main__":
    main()
