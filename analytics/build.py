"""How do the lake's files become tables of answers?

Every file under `sql/` is one SELECT and one table, named like the file. Its header says, line by line, what a row
is, which question it answers, and which columns name a row. Which table needs which is read from the SELECTs.
"""

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, cast

import duckdb
from duckdb import DuckDBPyConnection

from analytics.lake import Lake
from governance.errors import StoreError

SQL = Path(__file__).parent / "sql"
FACTS = ("runs", "items", "evidence")
_UNIQUE = re.compile(r"^-- unique: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Model:
    """One table: what a row is, which question it answers, the columns that name a row, and its SELECT."""

    name: str
    grain: str
    question: str
    unique: tuple[str, ...]
    select: str


@contextmanager
def built(
    lake: Lake, *, loop: str | None = None, since: date | None = None,
    only: Sequence[str] = (),
) -> Generator[DuckDBPyConnection]:  # fmt: skip
    """All tables over the lake, in memory; of one loop or since one UTC day when asked.

    With `only` these tables and what they are made of, which is less work.

    The connection reads nothing but the lake's directory, and loads no extension. Take money out by `fetchall`:
    `.df()` would turn it into floats.

    Raises:
        StoreError: A file of the lake cannot be read, or a table has two rows under one key.
    """
    # Left on, a typing error in a function's name becomes an attempt to download an extension (2.0.0).
    with duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False},
    ) as connection:
        try:
            _prepare(connection, lake, loop, since)
            for model in _in_order(connection, only or tuple(models())):
                connection.execute(f"CREATE TABLE {model.name} AS {model.select}")
                _check(connection, model)
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            what = str(error).splitlines()[0]
            raise StoreError(
                f"the lake '{lake.root}' cannot be read: {what}. Delete it; the next export makes it again "
                "from the ledger."
            ) from error
        yield connection


def rows(
    connection: DuckDBPyConnection, query: str, values: tuple[object, ...] = ()
) -> list[dict[str, Any]]:
    """The query's rows by column name; money as Decimal."""
    cursor = connection.execute(query, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@cache
def models() -> Mapping[str, Model]:
    """Every model under `sql/`, by name."""
    files = sorted(p for p in SQL.rglob("*.sql") if p.parent.name != "macros")
    return {path.stem: _model(path) for path in files}


def _model(path: Path) -> Model:
    text = path.read_text()
    grain, question = (line.removeprefix("-- ") for line in text.splitlines()[:2])
    unique = _UNIQUE.search(text)
    assert unique, f"{path.name} does not say which columns name a row"
    return Model(path.stem, grain, question, tuple(unique[1].split(", ")), text)


def _prepare(
    connection: DuckDBPyConnection, lake: Lake, loop: str | None, since: date | None
) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET VARIABLE loop = $1::VARCHAR", [loop])
    connection.execute("SET VARIABLE since = $1::DATE", [since])
    for path in sorted((SQL / "macros").glob("*.sql")):
        connection.execute(path.read_text())
    connection.execute("SET allowed_directories = [$1]", [f"{lake.root}/"])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    # Without union_by_name a column that only some files have is dropped without a word (2.0.0).
    _source(connection, "spans", f"{lake.root}/spans/**/*.parquet")
    for fact in FACTS:
        _source(connection, fact, f"{lake.root}/{fact}.parquet")


def _source(connection: DuckDBPyConnection, name: str, files: str) -> None:
    quoted = files.replace("'", "''")
    connection.execute(
        f"CREATE VIEW src_{name} AS FROM read_parquet('{quoted}', union_by_name = true,"
        " hive_partitioning = false)"
    )


def _in_order(connection: DuckDBPyConnection, wanted: Sequence[str]) -> Iterator[Model]:
    known, needs, asked = models(), dict[str, set[str]](), list(wanted)
    while asked:
        name = asked.pop()
        if name not in needs:
            needs[name] = _tables(connection, known[name].select) & known.keys()
            asked += needs[name]
    return (known[name] for name in TopologicalSorter(needs).static_order())


def _tables(connection: DuckDBPyConnection, select: str) -> set[str]:
    said = connection.execute("SELECT json_serialize_sql($1)", [select]).fetchall()[0][0]
    tree = json.loads(said)
    assert not tree["error"], tree
    return set(_names(tree))


def _names(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        named = cast(dict[str, object], node)
        if named.get("type") == "BASE_TABLE":
            yield str(named["table_name"])
        for value in named.values():
            yield from _names(value)
    elif isinstance(node, list):
        for value in cast(list[object], node):
            yield from _names(value)


def _check(connection: DuckDBPyConnection, model: Model) -> None:
    key = ", ".join(f'"{column}"' for column in model.unique)
    twice = connection.execute(
        f"SELECT {key}, count(*) FROM {model.name} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    if twice:
        *found, n = twice[0]
        named = ", ".join(f"{c} {v!r}" for c, v in zip(model.unique, found, strict=True))
        raise StoreError(
            f"table {model.name!r} has {n:,} rows for {named}, allowed is 1. Delete the lake; the next "
            "export makes it again. If it comes back, the ledger holds that key twice."
        )
