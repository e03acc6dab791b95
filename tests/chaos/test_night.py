"""A red build is mended, pushed and merged although its lives are killed at every point of a sandbox and a delivery."""

from pathlib import Path

import pytest

from tests.chaos.fates import EveryPoint
from tests.chaos.lives import Lives
from tests.chaos.stories import NIGHT_FIX
from tests.chaos.telling import Telling
from tests.chaos.test_points import same, unharmed_once
from tests.chaos.town import Town
from tests.flows.farside import boxes

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

HERE = (
    "before-advance", "after-advance", "before-box", "after-box", "before-save", "after-save",
    "before-push", "after-push",
)  # fmt: skip
"""Points that only a loop with a workspace and a delivery passes."""


async def test_lives_are_killed_around_box_save_and_push(
    town: Town, lives: Lives, capsys: pytest.CaptureFixture[str]
) -> None:
    first, expected = await unharmed_once(town, lives, NIGHT_FIX)
    fate = EveryPoint.of(first.told)
    fate.left = {"work": type(fate.left["work"])(p for p in fate.left["work"] if p in HERE)}
    assert set(fate.left["work"]) == set(HERE)
    kills = 0
    for n in range(4):
        if fate.done:
            break
        telling = Telling(town, lives, NIGHT_FIX, f"night-points-{n}", fate)
        fate.told = telling.told
        ending = await telling.to_the_end()
        fate.learn()
        kills += telling.kills
        same(telling, ending, expected)
    assert fate.done, fate.left
    assert boxes(town) == [], "no box outlives its item"
    with capsys.disabled():
        print(f"\nnight-fix: {kills} kills")


async def test_another_machine_goes_on_with_the_same_files(
    town: Town, lives: Lives, tmp_path: Path
) -> None:
    """It shares the store and the blobs, and nothing else: no mirror, no box, no directory."""
    _, expected = await unharmed_once(town, lives, NIGHT_FIX)
    telling = Telling(town, lives, NIGHT_FIX, "night-elsewhere")

    def fate(number: int, flow: str) -> str | None:
        if telling.kills:
            telling.machine["LOOPRAIL_HOME"] = str(tmp_path / "another")
            return None
        return "after-save:1" if flow == "work" else None

    telling.fate = fate
    same(telling, await telling.to_the_end(), expected)
    assert telling.kills == 1
    assert (tmp_path / "another" / "mirrors").is_dir(), "it did work there"
