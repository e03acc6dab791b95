"""What does a transaction of ours need from a database?

Statements are plain SQL that SQLite and Postgres both understand, with `:name` parameters; columns avoid what
either reserves (`window` is `period`, `by` is `said_by`).
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

Value = str | int | None


class Row(Protocol):
    """One row, read by column name."""

    def __getitem__(self, name: str, /) -> Any:
        """The column's value."""
        ...

    def keys(self) -> Iterable[str]:
        """The columns' names."""
        ...


class Sql(Protocol):
    """One open transaction. What it raises undoes the caller's whole piece of work."""

    def all(self, statement: str, /, **values: Value) -> Sequence[Row]:
        """Every row the statement gives."""
        ...

    def one(self, statement: str, /, **values: Value) -> Row | None:
        """The first row, or None."""
        ...

    def run(self, statement: str, /, **values: Value) -> int:
        """How many rows the statement changed."""
        ...


_NAMED = re.compile(r"'[^']*'|(?<![:\w]):([a-z_]\w*)", re.IGNORECASE)


@lru_cache(maxsize=2048)
def numbered(statement: str, mark: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `<mark>1` in place of `:name`, and the names in order."""
    names: dict[str, str] = {}

    def place(found: re.Match[str]) -> str:
        name = found[1]
        return found[0] if name is None else names.setdefault(name, f"{mark}{len(names) + 1}")

    return _NAMED.sub(place, statement), tuple(names)
