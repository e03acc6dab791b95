"""Others die, too: the provider in mid-answer, the MCP servers, Prefect's own server."""

import asyncio
import random

import pytest

from tests.chaos.fates import once
from tests.chaos.lives import Lives
from tests.chaos.stories import DELEGATES, TICKETS, Story
from tests.chaos.telling import Telling, patiently
from tests.chaos.test_points import same, unharmed_once
from tests.chaos.town import Town

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(600)]

FLOOR = 11
"""So many are killed here at least: the provider, the forge and Prefect's server, and lives that they let down."""

killed: list[str] = []


async def test_a_provider_that_dies_in_mid_answer_is_asked_again_and_both_are_counted(
    town: Town, lives: Lives
) -> None:
    _, expected = await unharmed_once(town, lives, TICKETS)
    slow = {"kind": "slow", "seconds": 5}
    telling = Telling(town, lives, TICKETS, "provider-dies", faults=(slow,))
    before = len(town.charged())
    told = asyncio.create_task(telling.to_the_end())
    while len(town.charged()) == before:
        await asyncio.sleep(0.05)
    await town.kill("model")
    killed.append("model")
    await town.back("model")
    same(telling, await told, expected)
    assert await unknown(telling) == 1


@pytest.mark.parametrize("kill", ["", "before-fail", "after-fail"])
@pytest.mark.parametrize(
    "fault",
    [{"kind": "truncated"}, {"kind": "no_usage"}],
    ids=lambda f: f["kind"],
)
async def test_an_answer_that_is_cut_costs_what_it_costs_and_the_story_ends_alike(
    town: Town, lives: Lives, fault: dict[str, str], kill: str
) -> None:
    _, expected = await unharmed_once(town, lives, TICKETS)
    name = f"cut-{fault['kind'].replace('_', '-')}-{kill}"
    fate = once(f"{kill}:1" if kill else None)
    telling = Telling(town, lives, TICKETS, name, fate, faults=(fault,))
    same(telling, await telling.to_the_end(), expected)
    assert telling.kills == bool(kill)
    killed.extend(["life"] * telling.kills)
    assert await unknown(telling) == 1


@pytest.mark.parametrize("kill", ["before-end", "after-end"])
async def test_a_heartbeat_that_was_stopped_ends_as_stopped(
    town: Town, lives: Lives, kill: str
) -> None:
    refused = {"kind": "status", "status": 401, "error": "authentication_error", "times": 9}
    fate = once(f"{kill}:1" if kill else None)
    telling = Telling(town, lives, TICKETS, kill, fate, faults=(refused,))
    try:
        await telling.to_the_end()
    finally:
        town.no_faults()
    killed.extend(["life"] * telling.kills)
    run = await telling.run()
    assert run.stop is not None
    assert (run.status, run.stop.reason, telling.kills) == ("closed", "refused_outside", 1)
    assert await telling.store.items() == ()


async def unknown(telling: Telling) -> int:
    """Model calls that may have been billed and brought nothing."""
    rows = await telling.store.ledger(run=(await telling.run()).run)
    return sum(r.kind == "model" and r.status == "unknown" for r in rows)


@pytest.mark.parametrize("name", ["forge", "prefect"])
@pytest.mark.parametrize("story", [TICKETS, DELEGATES], ids=lambda s: s.name)
async def test_a_server_that_dies_and_comes_back_changes_no_ending(
    town: Town, lives: Lives, story: Story, name: str
) -> None:
    _, expected = await unharmed_once(town, lives, story)
    telling = Telling(town, lives, story, f"{story.name}-{name}-dies")
    told = asyncio.create_task(patiently(telling))
    chance = random.Random(f"{story.name} {name}")
    while not telling.heartbeat:
        await asyncio.sleep(0.05)
    for _ in range(2):
        await asyncio.sleep(chance.uniform(0.5, 3))
        if told.done():
            break
        await town.kill(name)
        killed.append(name)
        await town.back(name)
    same(telling, await told, expected)


def test_as_many_were_killed_as_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(killed)} were killed")
    assert len(killed) >= FLOOR
