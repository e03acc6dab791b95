from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.store.store import SqlStore
from governance.records import Budget
from tests.drivers.store.homes import Cluster, File, Home, OnServer, cluster_of_its_own
from tests.drivers.store.story import RUN, Story

BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with cluster_of_its_own() as running:
        yield running


@pytest.fixture(scope="session")
def used_again(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a database that has our tables; each test empties them behind it."""
    url = cluster.make()
    OnServer(url, tmp_path_factory.mktemp("ready")).open().disconnect()
    return url


@pytest.fixture(params=BOTH)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """Where a store is, or will be when it is opened."""
    if request.param == "sqlite":
        yield File(tmp_path)
        return
    url: str = request.getfixturevalue("used_again")
    yield OnServer(url, tmp_path)
    request.getfixturevalue("cluster").empty(url)


@pytest.fixture(params=BOTH)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Where no store has ever been."""
    if request.param == "sqlite":
        return File(tmp_path)
    return OnServer(request.getfixturevalue("cluster").make(), tmp_path)


@pytest.fixture
def store(home: Home) -> Iterator[SqlStore]:
    opened = home.open()
    yield opened
    opened.disconnect()


@pytest.fixture
async def story(store: SqlStore) -> Story:
    """A run with 100 pico-USD, 50 tokens and one claimed item of 5 steps."""
    told = Story(store)
    await told.open_run(
        RUN, "06:00", Budget("run:r1:usd", RUN, 100), Budget("run:r1:tokens", RUN, 50)
    )
    (item,) = await told.find("test_a", budgets=(Budget("item:{item}:steps", RUN, 5),))
    await told.claim(item.item)
    return told
