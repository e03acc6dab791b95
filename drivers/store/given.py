"""How are many rows changed by one statement?

The new values go along as a table named `given`. A statement costs more than a row of it: 10 µs beside 1 on SQLite, a
way to the server and back on Postgres.
"""

from collections.abc import Sequence
from functools import lru_cache

from drivers.store.sql import Sql, Value


class Given:
    """Statements about a table `given`, whose columns have these names and types."""

    def __init__(self, **columns: str) -> None:
        self._columns = tuple(columns.items())

    def run(
        self, sql: Sql, statement: str, rows: Sequence[Sequence[Value]], **values: Value
    ) -> int:
        """How many rows the statement changed, with `rows` as `given`; without rows it is not made."""
        if not rows:
            return 0
        names = _names(len(self._columns), len(rows))
        flat = (value for row in rows for value in row)
        text = f"{_table(self._columns, len(rows))} {statement}"
        return sql.run(text, **dict(zip(names, flat, strict=True)), **values)


@lru_cache(maxsize=256)
def _names(columns: int, rows: int) -> tuple[str, ...]:
    return tuple(f"given_{row}_{column}" for row in range(rows) for column in range(columns))


@lru_cache(maxsize=256)
def _table(columns: tuple[tuple[str, str], ...], rows: int) -> str:
    """Postgres reads the types of all rows off the first one."""
    first = ", ".join(f"CAST(:given_0_{n} AS {of})" for n, (_, of) in enumerate(columns))
    others = (", ".join(f":given_{row}_{n}" for n in range(len(columns))) for row in range(1, rows))
    names = ", ".join(name for name, _ in columns)
    return f"WITH given ({names}) AS (VALUES {', '.join(f'({row})' for row in (first, *others))})"
