from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.money.rounds import Stage, stage
from tests.money.stores import new_store

STORES = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


@pytest.fixture(scope="module", params=STORES)
def on(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A store of each kind, with a far side and callers."""
    home: Path = tmp_path_factory.mktemp(request.param)
    with new_store(request.param, home) as url, stage(url, home) as made:
        yield made
