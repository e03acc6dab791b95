from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.filled import Filled, filled


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Filled]:
    """A store with one waiting, one stopped and one fresh item."""
    told = filled(tmp_path)
    yield told
    told.store.disconnect()
