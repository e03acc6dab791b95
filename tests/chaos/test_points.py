"""Whatever is killed at whatever named point: every story ends as it does when nobody is killed."""

import time

import pytest

from drivers.crash import POINTS
from tests.chaos.fates import ByChance, EveryPoint, passed
from tests.chaos.lives import Lives
from tests.chaos.stories import DELEGATES, TICKETS, Story
from tests.chaos.telling import Telling
from tests.chaos.town import Town
from tests.chaos.truth import Ending

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(1800)]

MOST_TELLINGS = 15
SEEDS = range(1, 9)
FLOOR = 125
"""So many lives are killed here at least, of flow processes in the middle of a story."""
ELSEWHERE = ("fail", "end", "advance", "push", "save", "box")
"""What these stories do not pass: it needs a failure (test_servers.py), or a sandbox (test_night.py)."""
ALONE = (
    "stop", "learned", "begin-anew", "restart", "give-up", "give-up-run", "hand-out-anew", "forget",
    "calendar", "deal-with", "deliver", "trip", "switch-off", "unpause", "correct", "put-cap", "raise",
    "restored", "reconcile", "put-rules", "answer-fan-out",
)  # fmt: skip
"""Transactions of what goes wrong, and of people and programs outside a flow: killed in test_transactions.py."""
NOT_HERE = {
    "in-prepare",
    *(f"{side}-{n}" for n in (*ELSEWHERE, *ALONE, "prepare") for side in ("before", "after")),
}
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
    theirs = set(POINTS) - NOT_HERE - (BY_COMMAND if first.by_form else BY_FORM)
    assert sorted(theirs ^ set(passed(first.told))) == []
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
    first, expected = await unharmed_once(town, lives, story)
    telling = Telling(
        town, lives, story, f"{story.name}-chance-{seed}", ByChance(seed, passed(first.told)),
        forced=seed % 4 < 2, by_form=seed % 3 > 0,
    )  # fmt: skip
    ending = await telling.to_the_end()
    killed.extend([story.name] * telling.kills)
    same(telling, ending, expected)


def test_as_many_were_killed_as_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(killed)} were killed")
    assert len(killed) >= FLOOR


_expected: dict[str, tuple[Telling, Ending]] = {}


async def unharmed_once(town: Town, lives: Lives, story: Story) -> tuple[Telling, Ending]:
    if story.name not in _expected:
        _expected[story.name] = await unharmed(town, lives, story)
    return _expected[story.name]
