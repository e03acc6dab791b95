"""Real worlds for stories: a Prefect server and worker, a forge, a scripted model, on loopback."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from demo.world import DemoWorld
from tests.flows.worlds import playing

Worlds = Callable[..., DemoWorld]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    """One world for all stories whose agents do as they should and that leave it running."""
    with playing(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    """Worlds of a test's own, each with its own options; ended with the test."""
    with ExitStack() as stack:

        def start(name: str = "own", **options: Any) -> DemoWorld:
            return stack.enter_context(playing(tmp_path / name, **options))

        yield start
