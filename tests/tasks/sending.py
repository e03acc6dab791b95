"""A process of its own that sends or shows what a store holds: `sending <directory> <webhook> <drain|meter>`."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prefect.blocks.notifications import CustomWebhookNotificationBlock

from governance.guardrails import Screen
from tasks.meter import show_meter
from tasks.outbox import drain
from tests.drivers.store.story import store_in

BLOCK = "custom-webhook/notices"


async def _main(directory: Path, webhook: str, what: str) -> None:
    board = CustomWebhookNotificationBlock(
        name="notices", url=webhook, json_data={"subject": "{{subject}}", "body": "{{body}}"},
        allow_private_urls=True,
    )  # fmt: skip
    await board.save(BLOCK.partition("/")[2], overwrite=True)
    registry = SimpleNamespace(
        organisation=SimpleNamespace(alerts=(BLOCK,)), loops={"triage": None, "idle": None}
    )
    world: Any = SimpleNamespace(store=store_in(directory), screen=Screen(), registry=registry)
    if what == "drain":
        print(await drain(world, "notice"))
    else:
        print(" ".join(await show_meter(world)))


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), *sys.argv[2:]))
