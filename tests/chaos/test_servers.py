"""Others die, too: the provider in mid-answer, the MCP servers, Prefect's own server."""

import asyncio
import random

import pytest

from tests.chaos.lives import Lives
from tests.chaos.stories import DELEGATES, TICKETS, Story
from tests.chaos.telling import Telling, patiently
from tests.chaos.test_points import same, unharmed_once
from tests.chaos.town import Town

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(600)]


async def test_a_provider_that_dies_in_mid_answer_is_asked_again_and_both_are_counted(
    town: Town, lives: Lives
) -> None:
    _, expected = await unharmed_once(town, lives, TICKETS)
    telling = Telling(town, lives, TICKETS, "provider-dies")
    before = len(town.charged())
    town.faults({"kind": "slow", "seconds": 5})
    told = asyncio.create_task(telling.to_the_end())
    while len(town.charged()) == before:
        await asyncio.sleep(0.05)
    await town.kill("model")
    await town.back("model")
    same(telling, await told, expected)
    rows = await telling.store.ledger(run=(await telling.run()).run)
    assert [r.status for r in rows if r.kind == "model"].count("unknown") == 1


@pytest.mark.parametrize(
    "fault",
    [{"kind": "truncated"}, {"kind": "no_usage"}],
    ids=lambda f: f["kind"],
)
async def test_an_answer_that_is_cut_costs_what_it_costs_and_the_story_ends_alike(
    town: Town, lives: Lives, fault: dict[str, str]
) -> None:
    _, expected = await unharmed_once(town, lives, TICKETS)
    telling = Telling(town, lives, TICKETS, f"cut-{fault['kind'].replace('_', '-')}")
    town.faults(fault)
    same(telling, await telling.to_the_end(), expected)


@pytest.mark.parametrize("name", ["forge", "prefect"])
@pytest.mark.parametrize("story", [TICKETS, DELEGATES], ids=lambda s: s.name)
async def test_a_server_that_dies_and_comes_back_changes_no_ending(
    town: Town, lives: Lives, story: Story, name: str
) -> None:
    _, expected = await unharmed_once(town, lives, story)
    telling = Telling(town, lives, story, f"{story.name}-{name}-dies")
    told = asyncio.create_task(patiently(telling))
    chance = random.Random(f"{story.name} {name}")
    for _ in range(2):
        await asyncio.sleep(chance.uniform(0.5, 3))
        if told.done():
            break
        await town.kill(name)
        await town.back(name)
    same(telling, await told, expected)
