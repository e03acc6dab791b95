"""Whatever is killed at whatever named point: every story ends as it does when nobody is killed."""

import time

import pytest

from drivers.crash import POINTS
from tests.chaos.fates import ByChance, EveryPoint
from tests.chaos.lives import Lives
from tests.chaos.stories import DELEGATES, TICKETS, Story
from tests.chaos.telling import Telling
from tests.chaos.town import Town
from tests.chaos.truth import Ending

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1800)]

MOST_TELLINGS = 15
SEEDS = range(1, 9)
NOT_HERE = {
    "before-fail", "after-fail", "before-end", "after-end", "before-advance", "after-advance",
    "before-push", "after-push", "before-save", "after-save", "before-box", "after-box",
}  # fmt: skip
"""Points that these stories do not pass: they need a failure (test_servers.py), or a sandbox (test_night.py)."""
BY_FORM = {"before-answer", "after-answer"}
BY_COMMAND = {"before-resume", "after-resume"}
"""Points that are passed where a person answers in Prefect, or in the store."""

killed: list[str] = []


async def unharmed(town: Town, lives: Lives, story: Story) -> tuple[Telling, Ending]:
    telling = Telling(town, lives, story, f"{story.name}-unharmed", by_form=story is not DELEGATES)
    return telling, await telling.to_the_end()


def same(telling: Telling, ending: Ending, expected: Ending) -> None:
    """The same end; and no life has ended its flow run while its item was open."""
    assert telling.stranded == []
    assert ending.differs(expected) == {}


@pytest.mark.parametrize("story", [TICKETS, DELEGATES], ids=lambda s: s.name)
async def test_a_life_may_be_killed_at_every_point(
    town: Town, lives: Lives, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    first, expected = await unharmed_once(town, lives, story)
    fate, began, kills = EveryPoint.of(first.told), time.monotonic(), 0
    passed = {p for queue in fate.left.values() for p in queue}
    assert passed == set(POINTS) - NOT_HERE - (BY_COMMAND if first.by_form else BY_FORM)
    for n in range(MOST_TELLINGS):
        if fate.done:
            break
        telling = Telling(
            town, lives, story, f"{story.name}-points-{n}", fate, by_form=first.by_form
        )
        fate.told = telling.told
        ending = await telling.to_the_end()
        fate.learn()
        kills += telling.kills
        same(telling, ending, expected)
    assert fate.left == {flow: type(q)() for flow, q in fate.left.items()}, "never killed there"
    with capsys.disabled():
        took = time.monotonic() - began
        print(
            f"\n{story.name}: {kills} kills, {n} tellings, {kills * 60 / took:.0f} kills a minute"
        )
    killed.extend([story.name] * kills)


@pytest.mark.parametrize("seed", SEEDS)
async def test_lives_are_killed_by_chance(
    town: Town, lives: Lives, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    story = (TICKETS, DELEGATES)[seed % 2]
    _, expected = await unharmed_once(town, lives, story)
    telling = Telling(
        town, lives, story, f"{story.name}-chance-{seed}", ByChance(seed),
        forced=seed % 4 < 2, by_form=seed % 3 > 0,
    )  # fmt: skip
    ending = await telling.to_the_end()
    killed.extend([story.name] * telling.kills)
    same(telling, ending, expected)


_expected: dict[str, tuple[Telling, Ending]] = {}


async def unharmed_once(town: Town, lives: Lives, story: Story) -> tuple[Telling, Ending]:
    if story.name not in _expected:
        _expected[story.name] = await unharmed(town, lives, story)
    return _expected[story.name]
