"""A red build is mended, pushed and merged although its lives are killed at every point of a sandbox and a delivery."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.engine import PrivateEngine
from tests.chaos.fates import EveryPoint
from tests.chaos.lives import Lives
from tests.chaos.stories import NIGHT_FIX
from tests.chaos.telling import Telling
from tests.chaos.test_points import same, unharmed_once
from tests.chaos.town import Town
from tests.chaos.truth import Ending
from tests.flows.farside import boxes

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

FLOOR = 10
"""So many are killed here at least: lives of a loop with a workspace, and the engine under them."""

HERE = (
    "before-advance", "after-advance", "before-box", "after-box", "before-save", "after-save",
    "before-push", "after-push",
)  # fmt: skip
"""Points that only a loop with a workspace and a delivery passes."""

killed: list[str] = []


async def test_lives_are_killed_around_box_save_and_push(
    town: Town, lives: Lives, capsys: pytest.CaptureFixture[str]
) -> None:
    first, expected = await unharmed_once(town, lives, NIGHT_FIX)
    fate = EveryPoint.of(first.told)
    fate.left = {"work": type(fate.left["work"])(p for p in fate.left["work"] if p in HERE)}
    assert set(fate.left["work"]) == set(HERE)
    for n in range(4):
        if fate.done:
            break
        telling = Telling(town, lives, NIGHT_FIX, f"night-points-{n}", fate)
        fate.told = telling.told
        ending = await telling.to_the_end()
        fate.learn()
        killed.extend(["work"] * telling.kills)
        same(telling, ending, expected)
    assert fate.done, fate.left
    assert boxes(town) == [], "no box outlives its item"
    with capsys.disabled():
        print(f"\nnight-fix: {len(killed)} kills")


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
    killed.append("work")
    assert (tmp_path / "another" / "mirrors").is_dir(), "it did work there"


@pytest.fixture
async def engine(town: Town, lives: Lives) -> AsyncIterator[PrivateEngine]:
    """One that has what the story prepares."""
    await unharmed_once(town, lives, NIGHT_FIX)
    with PrivateEngine() as running:
        yield running


async def test_the_engine_dies_in_the_middle_of_a_makers_command_and_the_item_ends_alike(
    town: Town, lives: Lives, engine: PrivateEngine
) -> None:
    """Its boxes die with it: the next try begins at the last saved state, in another one."""
    _, expected = await unharmed_once(town, lives, NIGHT_FIX)
    telling = Telling(town, lives, NIGHT_FIX, "night-engine", machine={"DOCKER_HOST": engine.host})
    told = asyncio.create_task(telling.to_the_end())
    under_way = await at_work(engine, told)
    await engine.kill()
    await asyncio.to_thread(engine.start)
    killed.append("engine")
    same(telling, await told, expected)
    assert telling.kills == 0, "nobody but the engine died"
    rows = [r for r in await telling.store.ledger() if r.name == "workspace.run"]
    assert rows[0].status == "failed", under_way
    assert engine.boxes == [], "the box that was left behind is gone as well"


async def at_work(engine: PrivateEngine, told: "asyncio.Task[Ending]") -> list[str]:
    """What runs in the maker's box, once its command does."""
    while not (running := await asyncio.to_thread(pytest_of, engine)):
        assert not told.done(), told
        await asyncio.sleep(0.05)
    return running


def pytest_of(engine: PrivateEngine) -> list[str]:
    return [line for line in engine.commands("maker") if "pytest" in line]


def test_as_many_were_killed_as_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\n{len(killed)} were killed")
    assert len(killed) >= FLOOR
