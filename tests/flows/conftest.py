"""Real worlds for stories: a Prefect server and worker, a forge, a scripted model, on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.world import DemoWorld

Worlds = Callable[..., DemoWorld]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    """One world for all stories whose agents do as they should and that leave it running."""
    with DemoWorld(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    """Worlds of a test's own, each with its own options; ended with the test."""
    with ExitStack() as stack:

        def start(name: str = "own", **options: object) -> DemoWorld:
            return stack.enter_context(DemoWorld(tmp_path / name, **options))  # type: ignore[arg-type]

        yield start
