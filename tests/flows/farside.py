"""What truly happened, counted where it happened: at the provider, at the forge, in Prefect, on this machine."""

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from demo.forge.git import Bare
from demo.prefect_api import PrefectApi
from demo.story import Story
from demo.world import DemoWorld
from governance.parts import Json
from governance.records import Card, ItemRow


def bill(world: DemoWorld) -> Json:
    """What the provider has charged since it was started."""
    return httpx.get(f"{world.model_url}/_bill", timeout=30).json()


def requests(world: DemoWorld, who: str = "", role: str = "") -> list[Json]:
    """Bodies of the newest two hundred requests, oldest first; `who` is part of run/loop/role."""
    found = httpx.get(f"{world.model_url}/_requests", timeout=30).json()
    bodies = [one["body"] for one in found if one["path"] == "/v1/messages"]
    return [
        b
        for b in bodies
        if who in b.get("metadata", {}).get("user_id", "") and spoken(b).startswith(role)
    ]


def spoken(body: Json) -> str:
    """Everything a request tells its model: system prompt, messages, results."""
    return "\n".join(_texts([body.get("system", ""), body["messages"]]))


MARKS = ("type", "role", "id", "tool_use_id", "cache_control")
"""Fields of a message that say nothing to a model."""


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [text for key, one in value.items() if key not in MARKS for text in _texts(one)]
    return []


def calls(world: DemoWorld, **wanted: str) -> list[Json]:
    """Every call the forge got, oldest first; `wanted` by connector, tool or key."""
    answer = httpx.get(
        f"{world.forge_url}/_calls", params=wanted, timeout=30,
        headers={"Authorization": f"Bearer {world.keys.forge}"},
    )  # fmt: skip
    return answer.raise_for_status().json()


def merges(world: DemoWorld, number: int | None = None) -> list[Json]:
    """Merges that went through, of one pull request or of any."""
    return [
        call
        for call in calls(world, tool="merge_pull_request")
        if not call["is_error"] and number in (None, call["arguments"]["pull_number"])
    ]


def flow_runs(world: DemoWorld, deployment: str) -> list[Json]:
    """Every flow run of a deployment (`flow/name`), oldest first."""
    api = PrefectApi(world.api_url, world.keys.prefect)
    found = api.flow_runs(deployment)
    api.close()
    return found


def processes_of(flow_run: str) -> list[int]:
    """Processes of this machine that work on a flow run, as the worker names them."""
    name = f"run-{flow_run}"[:15]
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "comm").read_text().strip() == name:
                found.append(int(place.name))
        except OSError:
            continue
    return found


def boxes(world: DemoWorld) -> list[str]:
    """Containers of this world, running or not."""
    done = subprocess.run(
        ("docker", "ps", "-aq", "--filter", f"label=looprail.home={world.home}"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


SOON_S = 150.0
"""Prefect 3.8.8 on SQLite keeps everybody waiting for a minute now and then, whichever worker asks."""


async def until(what: str, ask: Callable[[], Any], timeout_s: float = SOON_S) -> Any:
    """The first answer that is not empty. Raises `TimeoutError` that says what never came."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        answer = ask()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(0.5)
    raise TimeoutError(f"{what}: not within {timeout_s:,.0f} s")


async def ended(story: Story, item: ItemRow, timeout_s: float = 240) -> ItemRow:
    """The item once it is at its end."""

    async def look() -> ItemRow | None:
        row = await story.store.item(item.item)
        return row if row and row.status in ("done", "stopped") else None

    return await until(f"the end of {item.item}", look, timeout_s)


async def to_the_card(story: Story, timeout_s: float = 300) -> tuple[ItemRow, Card]:
    """Fire the loop and follow its one item to its one card."""
    (item,) = await story.follow(await story.fire(timeout_s), timeout_s)
    assert item.status == "waiting", (item.status, item.stop)
    (card,) = await story.cards((item,))
    return item, card


def propose(world: DemoWorld, change: str) -> int:
    """One open pull request of somebody's, and no other; its number."""
    bare = Bare(world.repository)
    base = str(bare.branch("main"))
    blob = bare.run("hash-object", "-w", "--stdin", stdin=change.encode())
    entries = f"{bare.run('ls-tree', base)}\n100644 blob {blob}\t{change}.md\n"
    tree = bare.run("mktree", stdin=entries.encode())
    commit = bare.run("commit-tree", tree, "-p", base, "-m", change)
    bare.run("update-ref", f"refs/heads/{change}", commit)
    with sqlite3.connect(world.repository.parent / "forge.db", timeout=30) as db:
        db.execute("UPDATE pulls SET state = 'closed' WHERE state = 'open'")
        (last,) = db.execute(
            "SELECT max(number) FROM (SELECT number FROM issues UNION SELECT number FROM pulls)"
        ).fetchone()
        db.execute(
            "INSERT INTO pulls VALUES (?, ?, ?, ?, 'main', 'open', NULL)",
            (last + 1, change, change, change),
        )
    db.close()
    return last + 1
