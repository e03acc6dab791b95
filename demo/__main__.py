"""Watch a loop find a red build, mend it, have it checked, and ask you before it merges."""

import argparse
import asyncio
import shutil
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from demo.interrupts import INTERRUPTS
from demo.isolation import require_isolation
from demo.story import Story
from demo.world import DemoWorld
from governance.errors import LoopError
from governance.records import ItemRow

PATIENCE_S = 24 * 3600.0
NOTICE_S = 10.0
"""How long the last notice is waited for."""


def main() -> int:
    """0 when every item ended or a person rejected it, 1 when something failed, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--auto", action="store_true", help="approve through the API the UI uses")
    parser.add_argument("--loop", default="night-fix", help="which loop to fire")
    told = parser.parse_args()
    console = Console(highlight=False)
    INTERRUPTS.install()
    try:
        asyncio.run(require_isolation())
        return _in_a_world(console, told.loop, told.auto)
    except KeyboardInterrupt:
        INTERRUPTS.over()
        console.print("\nStopped; nothing is left running.")
        return 130
    except (LoopError, RuntimeError, TimeoutError) as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1


def _in_a_world(console: Console, loop: str, auto: bool) -> int:
    with ExitStack() as stack:
        with INTERRUPTS.held():
            home = Path(tempfile.mkdtemp(prefix="looprail-demo-"))
            stack.push(partial(_leave, console, home))
        console.print(
            "Starting Prefect, a worker, a forge and a scripted model, all on this machine …"
        )
        with DemoWorld(home) as world:
            try:
                return asyncio.run(show(console, world, loop, auto))
            except KeyboardInterrupt:
                console.print("\nStopping; give it a few seconds …")
                raise


def _leave(console: Console, home: Path, kind: type[BaseException] | None, *_: object) -> None:
    """Take the world's directory away, unless something failed and its logs say why."""
    if kind is None or kind is KeyboardInterrupt:
        with INTERRUPTS.held():
            shutil.rmtree(home, ignore_errors=True)
    else:
        console.print(f"Logs are in {home / 'logs'}")


async def show(console: Console, world: DemoWorld, loop: str, auto: bool) -> int:
    """One firing from end to end."""
    with Story(world, console, loop) as story:
        return await _tell(console, story, auto)


async def _tell(console: Console, story: Story, auto: bool) -> int:
    world = story.world
    story.say(f"Prefect UI {world.ui_url} (password: {world.keys.prefect})")
    story.say(f"the forge {world.forge_url}")
    items = await story.follow(await story.fire(90), 600)
    while waiting := [i for i in items if i.status == "waiting"]:
        await _ask(console, story, waiting, auto)
        items = await story.follow(items, PATIENCE_S)
    for item in items:
        why = f" ({item.stop.reason}: {item.stop.detail})" if item.stop else ""
        story.say(f"{item.finding.title}: [bold]{item.status}[/bold]{why}")
    for subject in await _noticed(world):
        story.say(f"notice: {subject}")
    console.print(await story.cost_by_agent(items))
    console.print("Computed, not reconciled with any bill.")
    return 0 if all(_well(i) for i in items) and items else 1


async def _ask(console: Console, story: Story, waiting: list[ItemRow], auto: bool) -> None:
    console.print(await story.cost_by_agent(waiting))
    for item in waiting:
        cards = await story.cards([item])
        for card in cards:
            story.say(
                f"[bold yellow]waits for a person[/bold yellow]: {card.tool} {card.arguments}"
            )
        story.say(
            f"answer it at {story.world.ui_url}/runs/flow-run/{item.flow_run} (menu ⋮, Resume)"
        )
        if auto:
            story.approve(item, cards)
            story.say("approved through the API that the UI uses")
    while not auto and all([await _still(story, i) for i in waiting]):
        await asyncio.sleep(1)


async def _noticed(world: DemoWorld) -> list[str]:
    """What people were told, the end of the run with it: that is sent once it has ended."""
    until = time.monotonic() + NOTICE_S
    while True:
        subjects = [str(notice.get("subject")) for notice in world.receiver.notices]
        if any(s.endswith("is over") for s in subjects) or time.monotonic() > until:
            return subjects
        await asyncio.sleep(0.1)


async def _still(story: Story, item: ItemRow) -> bool:
    assert item.flow_run is not None
    return bool(story.api.flow_run(item.flow_run)["state"]["type"] == "PAUSED")


def _well(item: ItemRow) -> bool:
    return item.status == "done" or (item.stop is not None and item.stop.reason == "rejected")


if __name__ == "__main__":
    raise SystemExit(main())
