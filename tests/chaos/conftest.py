"""One town for all chaos, and the lives in it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.chaos.lives import Lives
from tests.chaos.town import Town


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with Town(tmp_path_factory.mktemp("town")) as running:
        yield running


@pytest.fixture(scope="session")
async def lives(town: Town) -> AsyncIterator[Lives]:
    async with Lives(town.home / "lives", town.environment()) as running:
        yield running
