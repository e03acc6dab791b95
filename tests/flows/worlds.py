"""In what do stories play? A world whose Prefect keeps its database in Postgres, as one with many runs has to.

On SQLite its server may stand still for a minute (docs/operations.md, "Prefect on Postgres"): a newcomer's one item
rarely meets that and is tried there (tests/demo, tests/newcomer, tests/browser), a suite of stories does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.postgres import postgres
from demo.world import DemoWorld


@contextmanager
def playing(home: Path, **options: Any) -> Iterator[DemoWorld]:
    """A world at `home`, gone with the block; `options` are those of `DemoWorld`."""
    with postgres() as database, DemoWorld(home, database=database, **options) as world:
        yield world
