"""A process of its own that calls a model: `caller.py <directory> <item> <lane> <url> <key>`, until it is killed.

Every call passes the edge, as a loop's does. A line is printed for each that was answered.
"""

import asyncio
import sys
from pathlib import Path

from drivers.model import AnthropicModel
from governance.conversation import ModelRequest, user
from governance.edge import Edge
from governance.effects import Intent, Place
from governance.errors import DriverError
from governance.guardrails import Screen
from tasks.world import now_ms
from tests.drivers.store.story import HEAD, LEAD, RUN, store_in

MODEL = "claude-sonnet-4-6"
LEASE_MS = 2_000


async def main(directory: str, item: str, lane: str, url: str, key: str) -> None:
    store = store_in(Path(directory))
    edge, model = Edge(store, now_ms, Screen), AnthropicModel(url, key)
    step = 0
    while True:
        now = now_ms()
        intent = Intent(
            place=Place(RUN, item, 1, lane, step, 0), kind="model", name="sonnet", principal=LEAD,
            rule="r", head=HEAD, args={}, fence=1, now=now, send_by=now + 1_000, lease=now + LEASE_MS,
            repeatable=True, attributes={"gen_ai.request.model": MODEL},
        )  # fmt: skip
        request = ModelRequest(MODEL, "Role: lead", (user(f"Say {lane} {step}."),), max_tokens=50)
        try:
            await edge.model(model, request, intent, timeout_s=1.0)
        except DriverError as error:
            print(error.code, flush=True)
        else:
            print("answered", flush=True)
        step += 1


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:6]))
