"""Watch a loop find a red build, mend it, have it checked, and ask you before it merges."""

import argparse
import asyncio
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from demo.story import Story
from demo.world import ROOT, DemoWorld
from governance.errors import LoopError
from governance.records import ItemRow

PATIENCE_S = 24 * 3600.0
IMAGE = "looprail/python:3.11"
ROOTFS = Path("/var/lib/looprail/images/looprail-python-3.11")


def main() -> int:
    """0 when every item ended or a person rejected it, 1 when something failed, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--auto", action="store_true", help="approve through the API the UI uses")
    parser.add_argument("--loop", default="night-fix", help="which loop to fire")
    told = parser.parse_args()
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    home = Path(tempfile.mkdtemp(prefix="looprail-demo-"))
    try:
        require_isolation()
        console.print(
            "Starting Prefect, a worker, a forge and a scripted model, all on this machine …"
        )
        with DemoWorld(home) as world:
            code = asyncio.run(show(console, world, told.loop, told.auto))
        shutil.rmtree(home, ignore_errors=True)
        return code
    except KeyboardInterrupt:
        shutil.rmtree(home, ignore_errors=True)
        console.print("\nStopped; nothing is left running.")
        return 130
    except (LoopError, RuntimeError, TimeoutError) as error:
        console.print(f"[red]{error}[/red]\nLogs are in {home / 'logs'}")
        return 1


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
    for notice in world.receiver.notices:
        story.say(f"notice: {notice.get('subject')}")
    console.print(await story.cost_by_agent(items))
    console.print("Computed at list price, not reconciled with any bill.")
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


async def _still(story: Story, item: ItemRow) -> bool:
    assert item.flow_run is not None
    return bool(story.api.flow_run(item.flow_run)["state"]["type"] == "PAUSED")


def _well(item: ItemRow) -> bool:
    return item.status == "done" or (item.stop is not None and item.stop.reason == "rejected")


def require_isolation() -> None:
    """Raises `RuntimeError` with the way out, within seconds, when nothing here can isolate an agent.

    The base image is made when it is not there yet, which takes a minute, root and debootstrap.
    """
    engine = shutil.which("docker") and _succeeds("docker", "version")
    if not engine and not shutil.which("bwrap"):
        raise RuntimeError(
            "Nothing here can isolate an agent: no Docker engine answers and bubblewrap is not installed.\n"
            "Install one: `apt-get install docker.io` and start the engine, or `apt-get install bubblewrap`."
        )
    made = _succeeds("docker", "image", "inspect", IMAGE) if engine else ROOTFS.is_dir()
    if not made and subprocess.run((str(ROOT / "images" / "build.sh"),), check=False).returncode:
        raise RuntimeError("The base image of workspaces is missing. Make it: `sudo make image`.")


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
