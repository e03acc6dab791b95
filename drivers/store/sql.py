"""What does a transaction of ours need from a database?

Statements are plain SQL that SQLite and Postgres both understand, with `:name` parameters; columns avoid what
either reserves (`window` is `period`, `by` is `said_by`).
"""

from collections.abc import Iterable, Sequence
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
