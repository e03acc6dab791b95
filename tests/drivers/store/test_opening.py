"""Which store does a URL name, and does this version know what is in it?"""

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import ExecutableDDLElement

import drivers.store
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store, store_at
from drivers.store.connection import SqliteSql
from drivers.store.migrations import MIGRATIONS, Migration, migrate
from drivers.store.schema import metadata
from governance.errors import StoreError


def _memory() -> SqliteSql:
    return SqliteSql(sqlite3.connect(":memory:", isolation_level=None))


@pytest.mark.parametrize("slashes", ["sqlite://", "sqlite:///"])
async def test_both_spellings_of_a_path_name_the_same_file(tmp_path: Path, slashes: str) -> None:
    place = tmp_path / "a directory" / "store.db"
    url = f"{slashes}{place}".replace(" ", "%20")
    store = open_store(url, DirectoryBlobs(tmp_path / "blobs"))
    assert await store.runs() == ()
    store.disconnect()
    assert place.exists()


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@h/d", "store.db", "sqlite://", "sqlite://host/p", ""]
)
def test_what_this_version_cannot_open_is_refused_without_naming_a_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(StoreError, match=r"Name a file: sqlite:////srv/looprail/store\.db") as told:
        open_store(url, DirectoryBlobs(tmp_path))
    assert "secret" not in str(told.value)


def test_a_process_has_one_store_per_file(tmp_path: Path) -> None:
    blobs = str(tmp_path / "blobs")
    first = store_at(f"sqlite://{tmp_path}/store.db", blobs)
    assert store_at(f"sqlite:///{tmp_path}/store.db", blobs) is first
    with pytest.raises(StoreError, match="is open with its blobs in"):
        store_at(f"sqlite://{tmp_path}/store.db", str(tmp_path / "elsewhere"))
    first.disconnect()


async def test_a_store_that_was_closed_is_opened_again_when_it_is_named_again(
    tmp_path: Path,
) -> None:
    url, blobs = f"sqlite://{tmp_path}/store.db", str(tmp_path / "blobs")
    first = store_at(url, blobs)
    first.disconnect()
    second = store_at(url, blobs)
    assert await second.runs() == ()
    second.disconnect()


def test_an_older_database_is_brought_up_to_date_once_and_keeps_its_rows() -> None:
    sql = _memory()
    migrate(sql, sqlite.dialect())
    sql.run("INSERT INTO states (loop, version, body, at, said_by) VALUES ('l', 1, '#', 1, 'noor')")
    newer = (
        *MIGRATIONS,
        Migration(
            "9999-mood",
            ("ALTER TABLE states ADD COLUMN mood TEXT", "UPDATE states SET mood = 'fine'"),
        ),
    )
    for _ in range(2):
        migrate(sql, sqlite.dialect(), newer)
    row = sql.one("SELECT * FROM states")
    assert row is not None
    assert (row["body"], row["mood"]) == ("#", "fine")


def test_what_people_said_to_a_doubt_of_the_first_release_still_means_the_same() -> None:
    sql = _memory()
    migrate(sql, sqlite.dialect(), MIGRATIONS[:1])
    columns = [c.name for c in metadata.tables["cards"].columns]
    for card, kind, answer in (
        ("c1", "in_doubt", "approve"), ("c2", "in_doubt", "reject"), ("c3", "in_doubt", None),
        ("c4", "approval", "approve"), ("c5", "approval", "reject"),
    ):  # fmt: skip
        row = {**dict.fromkeys(columns, 0), "card": card, "kind": kind, "answer": answer}
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        sql.run(f"INSERT INTO cards ({names}) VALUES ({marks})", **row)
    migrate(sql, sqlite.dialect())
    assert [(r["card"], r["answer"]) for r in sql.all("SELECT * FROM cards ORDER BY card")] == [
        ("c1", "not-happened"), ("c2", "abandon"), ("c3", None), ("c4", "approve"), ("c5", "reject"),
    ]  # fmt: skip


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/store.db"
    open_store(url, DirectoryBlobs(tmp_path)).disconnect()
    with sqlite3.connect(tmp_path / "store.db") as plain:
        plain.execute("INSERT INTO migrations (name) VALUES ('9999-from-the-future')")
    plain.close()
    with pytest.raises(StoreError) as told:
        open_store(url, DirectoryBlobs(tmp_path))
    assert str(told.value) == (
        "the store was written by a newer Looprail: migration '9999-from-the-future' is not among the "
        f"{len(MIGRATIONS)} this one knows. Upgrade this installation; nothing was changed."
    )


def test_migrations_are_named_in_order_and_once() -> None:
    names = [m.name for m in MIGRATIONS]
    assert names == sorted(set(names))


def test_a_fresh_database_has_the_tables_of_the_first_release_and_what_came_since(
    tmp_path: Path,
) -> None:
    open_store(f"sqlite://{tmp_path}/store.db", DirectoryBlobs(tmp_path)).disconnect()
    engine = create_engine(f"sqlite:///{tmp_path}/store.db")
    found = inspect(engine)
    for table in metadata.sorted_tables:
        columns = [c["name"] for c in found.get_columns(table.name)]
        # What a later migration added stands after what the first release had.
        assert columns[: len(table.columns)] == [c.name for c in table.columns]
    assert set(found.get_table_names()) > {t.name for t in metadata.sorted_tables}
    engine.dispose()


def test_the_schema_can_be_spelled_for_postgres_and_avoids_its_reserved_words() -> None:
    dialect = postgresql.dialect()
    for migration in MIGRATIONS:
        for step in migration.steps:
            if isinstance(step, ExecutableDDLElement):
                # SQLAlchemy quotes a name exactly when the dialect reserves it.
                assert '"' not in str(step.compile(dialect=dialect))


def test_statements_stay_clear_of_what_only_sqlite_understands() -> None:
    only_sqlite = re.compile(
        r"PRAGMA|INSERT OR|rowid|\bIFNULL\b|json_extract|strftime\(|AUTOINCREMENT"
    )
    package = Path(drivers.store.__file__).parent
    for module in package.glob("*.py"):
        if module.name not in (
            "connection.py",
            "doubts.py",
        ):  # the one is SQLite, the other spells a time
            assert not only_sqlite.search(module.read_text()), module.name


def test_what_was_paid_before_there_were_contracts_was_the_list_price() -> None:
    sql = _memory()
    migrate(sql, sqlite.dialect(), MIGRATIONS[:1])
    columns = [c.name for c in metadata.tables["ledger"].columns]
    for attempt, cost in ((1, 7), (2, 0), (3, None)):
        row = {**dict.fromkeys(columns, 0), "seq": attempt, "attempt": attempt, "cost": cost}
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        sql.run(f"INSERT INTO ledger ({names}) VALUES ({marks})", **row)
    migrate(sql, sqlite.dialect())
    found = [(r["cost"], r["list_cost"]) for r in sql.all("SELECT * FROM ledger ORDER BY attempt")]
    assert found == [(7, 7), (0, 0), (None, None)]
