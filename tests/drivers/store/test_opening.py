"""Which store does a URL name, and does this version know what is in it?"""

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import ExecutableDDLElement

import drivers.store
from drivers.blobs import DirectoryBlobs
from drivers.store import open_store, store_at
from drivers.store.connection import SqliteSql
from drivers.store.migrations import MIGRATIONS, Migration, migrate
from drivers.store.opening import secrets_in
from drivers.store.schema import metadata
from drivers.store.sql import Sql
from governance.errors import StoreError
from tests.drivers.store.homes import Home, OnServer


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
    "url",
    [
        "mysql://u:secret@h/d", "store.db", "sqlite://", "sqlite://host/p", "",
        "postgresql+asyncpg://u:secret@h/d", "postgresql://u:secret@h", "postgresql:///d",
    ],
)  # fmt: skip
def test_what_this_version_cannot_open_is_refused_without_naming_a_password(
    tmp_path: Path, url: str
) -> None:
    with pytest.raises(
        StoreError,
        match=r"Name .*sqlite:////srv/looprail/store\.db or postgresql://user:password@host/database",
    ) as told:
        open_store(url, DirectoryBlobs(tmp_path))
    assert "secret" not in str(told.value)


def test_a_password_in_a_url_is_a_secret_by_itself() -> None:
    url = "postgresql://us:se%20cret@db.example/x"
    assert secrets_in(url) == (url, "se%20cret", "se cret")
    assert secrets_in("postgresql://us@db.example/x") == ()
    assert secrets_in("sqlite:////srv/store.db") == ()


async def test_a_process_has_one_store_per_database(home: Home) -> None:
    blobs = str(home.directory / "blobs")
    first = store_at(home.url, blobs)
    assert store_at(home.url, blobs) is first
    with pytest.raises(StoreError, match="is open with its blobs in") as told:
        store_at(home.url, str(home.directory / "elsewhere"))
    assert "prefect:" not in str(told.value), "no name and no password"
    first.disconnect()
    second = store_at(home.url, blobs)
    assert await second.runs() == ()
    second.disconnect()


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


def test_a_newer_database_is_left_alone(empty: Home) -> None:
    empty.open().disconnect()
    empty.tamper("INSERT INTO migrations (name) VALUES ('9999-from-the-future')")
    with pytest.raises(StoreError) as told:
        empty.open()
    assert str(told.value) == (
        "the store was written by a newer Looprail: migration '9999-from-the-future' is not among the "
        f"{len(MIGRATIONS)} this one knows. Upgrade this installation; nothing was changed."
    )


def test_migrations_are_named_in_order_and_once() -> None:
    names = [m.name for m in MIGRATIONS]
    assert names == sorted(set(names))


def _columns(sql: Sql) -> dict[str, list[str]]:
    """What a database of the newest release has, by table."""
    on_postgres = (
        "SELECT table_name AS t, column_name AS c FROM information_schema.columns"
        " WHERE table_schema = 'looprail' ORDER BY table_name, ordinal_position"
    )
    in_a_file = (
        "SELECT m.name AS t, p.name AS c FROM sqlite_master m, pragma_table_info(m.name) p"
        " WHERE m.type = 'table' ORDER BY m.name, p.cid"
    )
    found: dict[str, list[str]] = {}
    for row in sql.all(in_a_file if isinstance(sql, SqliteSql) else on_postgres):
        found.setdefault(row["t"], []).append(row["c"])
    return found


async def test_a_fresh_database_has_the_tables_of_the_first_release_and_what_came_since(
    empty: Home,
) -> None:
    store = empty.open()
    found = await store.read(_columns)
    for table in metadata.sorted_tables:
        # What a later migration added stands after what the first release had.
        assert found[table.name][: len(table.columns)] == [c.name for c in table.columns]
    assert set(found) > {t.name for t in metadata.sorted_tables}
    sql = _memory()
    migrate(sql, sqlite.dialect())
    assert found == _columns(sql), "the same on both"
    store.disconnect()


async def test_text_is_compared_by_its_bytes_in_every_column(empty: Home) -> None:
    """Whatever language the database was made for: prefixes and ranges of keys are asked for."""
    store = empty.open()
    words = ["a:b", "B", "a-b", "A", "ab", "a", "ä", "Z", "_", "1"]
    for now, word in enumerate(words):
        await store.pin("loop", word, word, by=word, now=now)

    def ordered(sql: Sql) -> list[str]:
        return [row["name"] for row in sql.all("SELECT name FROM in_force ORDER BY name")]

    assert await store.read(ordered) == sorted(words, key=str.encode)
    store.disconnect()
    if not isinstance(empty, OnServer):
        return
    others = empty.ask(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'looprail'"
        " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
    )
    assert others == []


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
        # The one is SQLite, the other spells a time.
        if module.name not in ("connection.py", "doubts.py"):
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
