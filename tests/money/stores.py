"""Where is a new store of a kind: in a file, or on a Postgres server of its own?"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from demo.postgres import postgres


@contextmanager
def new_store(kind: str, home: Path) -> Generator[str]:
    """The URL of one that is not there yet; a file lies in `home`, a server ends with the block."""
    if kind == "sqlite":
        yield f"sqlite://{home}/store.db"
    else:
        with postgres() as url:
            yield url.replace("postgresql+asyncpg://", "postgresql://")
