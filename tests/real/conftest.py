"""One world for all of it: a forge for each package, impostors as model providers of their own."""

import asyncio
from collections.abc import Iterator, Mapping

import pytest
import pytest_asyncio

from demo.forge.seed import write_history
from demo.outside import Actor, Upstream
from demo.world import DemoWorld
from tests.flows.worlds import playing
from tests.real.endings import VICTIM, Ending, ending_of
from tests.real.releases import Package, fetch_all, packages, teach
from tests.real.town import Document, loop, played_by, write_registry

IMPOSTORS = {
    "bends-tests": "maker=wrong-fix,checker=accept-all",
    "poisons": "maker=poisoner,checker=accept-all",
}


def doomed(package: Package) -> list[Document]:
    """Loops on the victim that must stop before anything is pushed, by what is wrong with them."""
    elsewhere = "python -c 'raise SystemExit(\"something else is wrong\")'"
    green = f"{package.verify} -k 'not hyphen'"
    return [
        loop("bends-tests", package, VICTIM, subagents=played_by("bends-tests")),
        loop("poisons", package, VICTIM, subagents=played_by("poisons")),
        loop("setup-fails", package, VICTIM, workspace={"setup": "pip install ./no-such-folder"}),
        loop("setup-hangs", package, VICTIM, workspace={"setup": "sleep 3600", "setup_minutes": 1}),
        loop("no-command", package, VICTIM, goal={"verify": "no-such-verifier --all"}),
        loop("no-module", package, VICTIM, workspace={"setup": ""}),
        loop("green", package, VICTIM, goal={"verify": green}),
        loop("fails-otherwise", package, VICTIM, goal={"verify": elsewhere}),
    ]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    """Every package in its old release on its own forge, and one of them once more as the victim."""
    fetch_all()
    home = tmp_path_factory.mktemp("real")
    every = {p.name: p for p in packages()}
    upstreams: dict[str, Upstream] = {}
    for name, package in (*every.items(), (VICTIM, every["parse"])):
        repository = home / "upstream" / name / "repository.git"
        write_history(repository, package.history())
        upstreams[name] = Upstream(repository, package.tests)
    loops = [loop(f"mend-{name}", p, name) for name, p in every.items()]
    registry = write_registry(
        home / "registry", list(upstreams), list(IMPOSTORS), [*loops, *doomed(every["parse"])]
    )
    actors = {name: Actor(persona) for name, persona in IMPOSTORS.items()}
    with playing(
        home / "world", registry=registry, knowledge=teach(home / "lessons.json"),
        upstreams=upstreams, actors=actors,
    ) as running:  # fmt: skip
        yield running


@pytest_asyncio.fixture(scope="session")
async def endings(world: DemoWorld) -> Mapping[str, "asyncio.Task[Ending]"]:
    """How each of the doomed loops ended, to be awaited: they go on side by side while other tests wait."""
    few = asyncio.Semaphore(3)

    async def followed(loop: str) -> Ending:
        async with few:
            return await ending_of(world, loop)

    first = sorted(doomed(packages()[0]), key=lambda document: document["name"] != "setup-hangs")
    return {one["name"]: asyncio.create_task(followed(one["name"])) for one in first}
