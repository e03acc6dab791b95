"""Processes are killed where they stand: the run goes on, nothing is done twice, and no answer is lost.

Four stories run side by side in one world, since most of each is waiting: for Prefect to see a death, for
housekeeping's minute, for a process to start.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from demo.world import DemoWorld
from governance.parts import Json
from governance.records import ItemRow
from tests.flows.farside import (
    boxes,
    calls,
    ended,
    flow_runs,
    merges,
    processes_of,
    propose,
    requests,
    to_the_card,
    until,
)
from tests.flows.registries import merger, registry_with
from tests.flows.telling import told
from tests.flows.worlds import playing

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(1200)]

SLOW = ("--latency-ms", "3000")
"""A call of the model lasts long enough to be killed in the middle of it."""
LONG_S = 600


@dataclass
class Victims:
    """The world, and each story under way."""

    world: DemoWorld
    stories: dict[str, "asyncio.Task[Json]"]

    async def end_of(self, name: str) -> Json:
        """What a story came to; what went wrong in it is raised here."""
        return await self.stories[name]


@pytest.fixture(scope="module")
async def victims(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Victims]:
    home = tmp_path_factory.mktemp("recovery")
    registry = registry_with(
        home / "registry", [merger(f"merge-{n}") for n in ("killed", "answered")]
    )
    opened = playing(home / "world", registry=registry, model_options=SLOW)
    world = await asyncio.to_thread(opened.__enter__)
    try:
        propose(world, "wanted")
        stories = {s.__name__: asyncio.create_task(s(world)) for s in (killed, answered, cancelled)}
        yield Victims(world, stories)
        for story in stories.values():
            story.cancel()
        await asyncio.gather(*stories.values(), return_exceptions=True)
    finally:
        await asyncio.to_thread(opened.__exit__, None, None, None)


def kill(pids: list[int]) -> list[int]:
    """As the kernel does when memory is short: nobody is asked."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return pids


async def in_mid_call(story: Any, item: ItemRow) -> ItemRow:
    """The item once a call of the model is on its way."""

    async def look() -> ItemRow | None:
        rows = await story.store.ledger(item=item.item)
        under_way = any(r.kind == "model" and r.status == "open" for r in rows)
        return await story.store.item(item.item) if under_way else None

    return await until(f"a model call of {item.item}", look, LONG_S)


async def killed(world: DemoWorld) -> Json:
    """The flow's process dies while the model answers; then a person approves what the second one asks."""
    with told(world, "merge-killed") as story:
        (item,) = await story.fire(LONG_S)
        item = await in_mid_call(story, item)
        dead = kill(processes_of(str(item.flow_run)))
        (item,) = await story.follow((item,), LONG_S)
        (card,) = await story.cards((item,))
        lives = item.life
        story.approve(item, (card,))
        item = await ended(story, item, LONG_S)
        rows = await story.store.ledger(item=item.item)
        return {"item": item, "dead": dead, "card": card, "rows": rows, "lives": lives}


async def answered(world: DemoWorld) -> Json:
    """A person approves, and the process that was to read it dies before it could."""
    with told(world, "merge-answered") as story:
        item, card = await to_the_card(story, LONG_S)
        flow_run = str(item.flow_run)
        await until("the end of the one that asked", lambda: not processes_of(flow_run), LONG_S)
        story.approve(item, (card,))
        dead = kill(await until("a process of it", lambda: processes_of(flow_run), LONG_S))
        unread = await story.store.card(card.card)
        assert unread is not None
        await until("the crash", lambda: story.api.flow_run(flow_run)["state"]["type"] == "CRASHED")
        item = await ended(story, item, LONG_S)
        return {"item": item, "dead": dead, "card": card, "unread": unread.answer}


async def cancelled(world: DemoWorld) -> Json:
    """Somebody presses Cancel in the UI while a maker works in its box and the model answers."""
    with told(world, "night-fix") as story:
        (item,) = await story.fire(LONG_S)
        await until("a box", lambda: boxes(world), LONG_S)
        item = await working_in_its_box(story, item)
        story.api.cancel(str(item.flow_run))
        pressed = time.monotonic()
        said = len(requests(world, "/night-fix/"))
        await asyncio.sleep(2)
        after_two = len(requests(world, "/night-fix/"))
        await until("no box", lambda: not boxes(world), 60)
        gone = time.monotonic() - pressed
        item = await ended(story, item, LONG_S)
        run = await until("its state", lambda: over(story.api.flow_run(str(item.flow_run))), 120)
        rows = await story.store.ledger(item=item.item)
        page = await story.store.state("night-fix")
        return {
            "item": item, "gone": gone, "calls": (said, after_two, len(requests(world, "/night-fix/"))),
            "state": run["state"], "rows": rows, "page": page, "left": processes_of(str(item.flow_run)),
        }  # fmt: skip


async def working_in_its_box(story: Any, item: ItemRow) -> ItemRow:
    """The item once its maker's second call is on its way: its box is open, and the model is at work."""

    async def look() -> ItemRow | None:
        rows = await story.store.ledger(item=item.item)
        done = any(r.name.startswith("workspace.") and r.status == "done" for r in rows)
        now = any(r.kind == "model" and r.status == "open" for r in rows)
        return await story.store.item(item.item) if done and now else None

    return await until("a maker at work", look, LONG_S)


def over(run: Json) -> Json | None:
    """The flow run once its state is a last one."""
    return run if run["state"]["type"] in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED") else None


async def test_a_process_killed_in_mid_call_is_followed_by_one_that_does_the_rest(
    victims: Victims,
):
    """The call that was cut off is made again, and both are on the ledger; the merge happens once."""
    told_of = await victims.end_of("killed")
    item, card = told_of["item"], told_of["card"]
    assert told_of["dead"]
    assert (item.status, item.stop) == ("done", None)
    tries = [(r.key, r.attempt, r.status) for r in told_of["rows"] if r.kind == "model"]
    cut = [t for t in tries if t[2] == "unknown"]
    assert len(cut) == 1
    assert (cut[0][0], 2, "done") in tries
    assert [t for t in tries if t[1] > 1] == [(cut[0][0], 2, "done")]
    made = [c for c in calls(victims.world, tool="merge_pull_request") if c["key"] == card.key]
    assert len(made) == 1


async def test_an_approval_given_before_the_process_died_is_read_by_the_next(victims: Victims):
    told_of = await victims.end_of("answered")
    item, card = told_of["item"], told_of["card"]
    assert told_of["dead"]
    assert told_of["unread"] is None
    assert (item.status, item.stop) == ("done", None)
    made = [c for c in calls(victims.world, tool="merge_pull_request") if c["key"] == card.key]
    assert len(made) == 1
    assert item.posted_n == 1, "nobody was asked again"


async def test_cancel_in_the_ui_stops_the_spending_at_once_and_takes_the_box_away(
    victims: Victims,
):
    told_of = await victims.end_of("cancelled")
    item = told_of["item"]
    said, after_two, at_the_end = told_of["calls"]
    assert at_the_end == after_two
    assert after_two <= said + 1
    assert told_of["gone"] < 10
    assert item.status == "stopped"
    assert item.stop is not None
    assert item.stop.reason == "cancelled"
    assert told_of["state"]["type"] == "CANCELLED"
    assert told_of["left"] == []
    assert all(r.status != "open" for r in told_of["rows"])
    assert "cancelled" in told_of["page"].body
    subject = f"night-fix: run {item.run} is over"
    notices = victims.world.receiver.notices
    await until("its notice", lambda: [n for n in notices if n["subject"] == subject], 90)


async def test_worker_and_process_die_together_and_the_silence_is_noticed(victims: Victims):
    """Nobody is left to report it: Prefect hears no heartbeat, and the next worker goes on."""
    for name in ("killed", "answered", "cancelled"):
        await victims.end_of(name)
    world = victims.world
    number = propose(world, "both")
    with told(world, "merge-killed") as story:
        (item,) = await story.fire(LONG_S)
        item = await in_mid_call(story, item)
        flow_run = str(item.flow_run)
        os.killpg(world.processes["worker-0"].pid, signal.SIGKILL)
        kill(processes_of(flow_run))
        await until("no process of it", lambda: not processes_of(flow_run))
        assert story.api.flow_run(flow_run)["state"]["type"] == "RUNNING", "nobody has told Prefect"
        world.start_worker("worker-1")
        (item,) = await story.follow((item,), LONG_S)
        (card,) = await story.cards((item,))
        story.approve(item, (card,))
        item = await ended(story, item, LONG_S)
        assert (item.status, item.stop) == ("done", None)
        names = [s["name"] for s in story.api.states(flow_run)]
        assert "AwaitingRetry" in names
    (merge,) = merges(world, number)
    assert merge["key"] == card.key
    assert len(flow_runs(world, "work/merge-killed")) == 2


async def test_the_server_dies_in_the_middle_and_the_run_goes_on_when_it_is_back(
    victims: Victims,
):
    """The process works on meanwhile; what it has to tell Prefect waits."""
    for name in ("killed", "answered", "cancelled"):
        await victims.end_of(name)
    world = victims.world
    number = propose(world, "away")
    with told(world, "merge-answered") as story:
        (item,) = await story.fire(LONG_S)
        item = await in_mid_call(story, item)
        server = world.processes["prefect"]
        os.killpg(server.pid, signal.SIGKILL)
        await until("the end of the server", lambda: not server.alive())
        asked = len(requests(world, "/merge-answered/"))
        await until(
            "work without it", lambda: len(requests(world, "/merge-answered/")) > asked, LONG_S
        )
        await asyncio.to_thread(world.start_prefect)
        (item,) = await story.follow((item,), LONG_S)
        (card,) = await story.cards((item,))
        story.approve(item, (card,))
        item = await ended(story, item, LONG_S)
        assert (item.status, item.stop) == ("done", None)
        rows = await story.store.ledger(item=item.item)
        assert [
            r.attempt for r in rows if r.kind == "tool" and r.name.endswith("merge_pull_request")
        ] == [1]
    (merge,) = merges(world, number)
    assert merge["key"] == card.key
