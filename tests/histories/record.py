"""Record what items of this release do: `python -m tests.histories.record [STORY…]` writes tests/histories/<version>/.

Run it before a release, with a Docker engine and the base image; a recorded history is never changed afterwards.
Real flows run over the demo world; ids, times and prices in a history are those of the day it was recorded.
"""

import asyncio
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from demo.world import ROOT
from drivers.mcp import McpConnector
from governance.conversation import ToolSpec
from tests.flows.bench import Bench
from tests.histories.history import History, taken

STORIES: dict[str, tuple[str, dict[str, Any]]] = {
    "fix-to-the-merge-card": ("night-fix", {}),
    "ticket-to-its-end": ("ticket-triage", {"find": {"max_items": 1, "arguments": {"state": "all"}}}),
    "delegates-to-the-merge-card": ("morning-triage-loop", {}),
    "compacted-to-a-card": (
        "ticket-triage",
        {
            "find": {"max_items": 1, "arguments": {"state": "all"}},
            "organisation": {"models": {"claude-sonnet-4-6": {"context_tokens": 4000}}},
            "harness": {
                "max_steps": 60, "max_output_tokens": 1000,
                "approvals": {"linear.label_ticket": "pause_for_human"},
            },
            "play": {"tickets/v1": "compact-and-ask"},
        },
    ),
}  # fmt: skip
"""By name: the loop, and what is changed in the registry."""


def version() -> str:
    """Of the release whose code runs."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


async def recorded(bench: Bench, story: str) -> History:
    """One item, to its end or to where it waits."""
    loop, changes = STORIES[story]
    await bench.begin(story, loop, **changes)
    _, _, items = await bench.heartbeat(loop)
    _, item = await bench.work(items[0])
    place = bench.home / story
    return taken(
        place / "store.db", place / "blobs", item.item, version=version(), story=story,
        registry=bench.registry, tools=await _tools(bench),
    )  # fmt: skip


async def _tools(bench: Bench) -> dict[str, tuple[ToolSpec, ...]]:
    found: dict[str, tuple[ToolSpec, ...]] = {}
    for name in ("github", "ci", "linear"):
        key = {"Authorization": f"Bearer {bench.keys.forge}"}
        connector = McpConnector.http(name, f"{bench.forge_url}/{name}/mcp", headers=key)
        found[name] = await connector.tools()
        await connector.close()
    return found


async def record(bench: Bench, stories: list[str]) -> None:
    """Record these stories, or all of them."""
    for story in stories or STORIES:
        history = await recorded(bench, story)
        file = history.save()
        rows = len(history.tables["journal"])
        print(f"{file.relative_to(ROOT)}: {rows:,} rows, {history.ended['status']}", flush=True)


def main() -> None:
    """What is named on the command line, in a world of its own."""
    with tempfile.TemporaryDirectory() as home, Bench(Path(home) / "world") as bench:
        asyncio.run(record(bench, sys.argv[1:]))


if __name__ == "__main__":
    main()
