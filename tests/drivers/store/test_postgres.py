"""What does a store on Postgres do when its connection, its server or somebody else on it does not as it should?"""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from drivers.store.database import Database
from drivers.store.postgres import postgres_database
from drivers.store.postgres_sql import spoken
from drivers.store.sql import Sql
from governance.errors import StoreError
from tests.drivers.store.between import Wire, wire
from tests.drivers.store.homes import Cluster, told
from tests.drivers.store.opened import Gate, all_rows, put, table

pytestmark = pytest.mark.postgres

KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'looprail'"
Opening = Callable[..., Database]


@pytest.fixture(scope="module")
def url(cluster: Cluster) -> str:
    return cluster.make()


@pytest.fixture
def opening(url: str) -> Iterator[Opening]:
    """Opens databases with one empty table, and closes them behind the test."""
    opened: list[Database] = []

    def open_one(at: str = url, patience_s: float = 20.0) -> Database:
        opened.append(postgres_database(at, table, patience_s))
        return opened[-1]

    yield open_one
    for database in opened:
        database.close()
    told(url, "TRUNCATE t")


def rows(url: str) -> list[int]:
    return [n for (n,) in told(url, "SELECT n FROM t ORDER BY n")]


@pytest.mark.parametrize(
    ("statement", "said", "names"),
    [
        ("SELECT :a, :b, :a", "SELECT $1, $2, $1", ("a", "b")),
        ("SELECT ':a' WHERE b = :b", "SELECT ':a' WHERE b = $1", ("b",)),
        ("SELECT ':a', CAST(:_a1 AS x)", "SELECT ':a', CAST($1 AS x)", ("_a1",)),
        ("SELECT x::text, :t", "SELECT x::text, $1", ("t",)),
        ("SELECT 'it''s :a', :b", "SELECT 'it''s :a', $1", ("b",)),
        ("SELECT TEXT", "SELECT TEXT", ()),
        ("\nCREATE TABLE x (a TEXT)", '\nCREATE TABLE x (a TEXT COLLATE "C")', ()),
    ],
)  # fmt: skip
def test_a_statement_is_spoken_with_numbers_in_place_of_names(
    statement: str, said: str, names: tuple[str, ...]
) -> None:
    assert spoken(statement) == (said, names)


def test_what_waits_shares_one_transaction(opening: Opening) -> None:
    database = opening()
    gate = Gate(database)

    def number(sql: Sql) -> int:
        row = sql.one("SELECT pg_current_xact_id() AS number")
        assert row is not None
        return row["number"]

    jobs = [database.write(number) for _ in range(50)]
    gate.open()
    assert len({job.result(5) for job in jobs}) == 1


def test_every_commit_is_on_disk_whatever_the_database_was_set_to(
    opening: Opening, url: str
) -> None:
    name = url.rpartition("/")[2]
    told(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    told(url, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")

    def settings(sql: Sql) -> tuple[str, ...]:
        found = (
            sql.one(f"SHOW {name}") for name in ("synchronous_commit", "transaction_isolation")
        )
        return tuple(row[0] for row in found if row is not None)  # type: ignore[index]

    assert opening().write(settings).result(5) == ("on", "read committed")
    told(url, f"ALTER DATABASE {name} RESET ALL")


def test_a_sum_is_a_whole_number_however_large(opening: Opening) -> None:
    database = opening()
    for n in (2**62, 2**62 + 1):
        database.write(put(n)).result(5)
    row = database.read(lambda sql: sql.one("SELECT sum(n) AS total FROM t")).result(5)
    assert row is not None
    assert row["total"] == 2**63 + 1
    assert type(row["total"]) is int


def test_a_connection_that_was_cut_while_nobody_used_it_is_made_anew(
    opening: Opening, url: str
) -> None:
    database = opening()
    for n in range(3):
        assert database.write(put(n)).result(5) == 1
        assert database.read(all_rows).result(5) == list(range(n + 1))
        told(url, KILL)


def test_a_transaction_whose_connection_was_cut_is_told_to_all_of_it_and_the_next_goes_on(
    opening: Opening, url: str
) -> None:
    database = opening()
    gate = Gate(database)

    def cut(sql: Sql) -> None:
        sql.run("INSERT INTO t (n) VALUES (2)")
        told(url, KILL)
        sql.run("INSERT INTO t (n) VALUES (3)")

    jobs = [database.write(put(1)), database.write(cut), database.write(put(4))]
    gate.open()
    for job in jobs:
        with pytest.raises(
            StoreError, match=r"lost in the middle of a transaction .* nothing was written"
        ):
            job.result(5)
    assert database.write(put(5)).result(5) == 1
    assert rows(url) == [5]


def test_a_read_whose_connection_was_cut_is_made_once_more(opening: Opening, url: str) -> None:
    database = opening()
    database.write(put(1)).result(5)
    looks: list[list[int]] = []

    def look(sql: Sql) -> list[int]:
        looks.append(all_rows(sql))
        if len(looks) == 1:
            told(url, KILL)
        return all_rows(sql)

    assert database.read(look).result(5) == [1]
    assert looks == [[1], [1]]


@pytest.fixture
def cuttable(url: str) -> Iterator[Wire]:
    with wire(url) as between:
        yield between


def test_a_commit_that_never_arrived_wrote_nothing_and_says_so(
    opening: Opening, url: str, cuttable: Wire
) -> None:
    database = opening(cuttable.url)
    cuttable.cut = "before"
    with pytest.raises(StoreError, match=r"lost in a commit .* nothing was written"):
        database.write(put(1)).result(10)
    assert (cuttable.cuts, rows(url)) == (1, [])
    assert database.write(put(1)).result(5) == 1


def test_a_commit_whose_answer_was_lost_is_looked_up_and_counts(
    opening: Opening, url: str, cuttable: Wire
) -> None:
    database = opening(cuttable.url)
    gate = Gate(database)
    jobs = [database.write(put(n)) for n in range(10)]
    cuttable.cut = "after"
    gate.open()
    assert [job.result(10) for job in jobs] == [1] * 10
    assert (cuttable.cuts, rows(url)) == (1, list(range(10)))


def test_a_commit_that_nobody_can_look_up_is_said_to_be_unknown(
    opening: Opening, url: str, cuttable: Wire
) -> None:
    database = opening(cuttable.url, patience_s=0.5)
    cuttable.cut, cuttable.deaf = "after", True
    with pytest.raises(StoreError, match=r"whether it was written is unknown.* ask again"):
        database.write(put(1)).result(10)
    with pytest.raises(StoreError, match=r"cannot be reached: .* nothing was written"):
        database.write(put(2)).result(10)
    cuttable.deaf = False
    assert database.write(put(3)).result(10) == 1
    assert rows(url) == [1, 3]


def test_a_server_that_is_away_for_a_while_is_waited_for(opening: Opening, cuttable: Wire) -> None:
    database = opening(cuttable.url)
    database.write(put(1)).result(5)
    told(cuttable.url, KILL)
    cuttable.deaf = True
    written, read = database.write(put(2)), database.read(all_rows)
    time.sleep(0.6)
    assert not written.done()
    assert not read.done()
    cuttable.deaf = False
    assert written.result(5) == 1
    assert read.result(5) in ([1], [1, 2])


def test_a_program_that_holds_a_table_for_too_long_is_told_of_and_nothing_is_written(
    opening: Opening, url: str
) -> None:
    database = opening(patience_s=0.3)
    database.write(put(1)).result(5)
    holding = threading.Thread(
        target=lambda: told(url, "DO $$ BEGIN LOCK TABLE t; PERFORM pg_sleep(1.2); END $$")
    )
    holding.start()
    time.sleep(0.3)
    with pytest.raises(
        StoreError, match=r"was held by another program for longer than 0.3 s, and nothing"
    ):
        database.write(put(2)).result(5)
    holding.join()
    assert database.write(put(3)).result(5) == 1
    assert rows(url) == [1, 3]


def test_one_that_stands_still_inside_a_transaction_is_undone_and_the_others_go_on(
    opening: Opening, url: str
) -> None:
    still, other = opening(patience_s=1.0), opening()

    def stand(sql: Sql) -> None:
        sql.run("INSERT INTO t (n) VALUES (1)")
        waiting.append(other.write(put(1)))
        time.sleep(0.3)
        assert not waiting[0].done(), "one writes at a time"
        assert waiting[0].result(5) == 1, "the server has cut us off"
        sql.run("INSERT INTO t (n) VALUES (2)")

    waiting: list = []
    with pytest.raises(StoreError, match="nothing was written"):
        still.write(stand).result(10)
    assert rows(url) == [1]
    assert still.write(put(2)).result(5) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("prefect:", "nobody:"), r"password authentication failed"),
        (lambda url: url.rpartition("/")[0] + "/nowhere", r'database "nowhere" does not exist'),
        (lambda url: url.replace(f"{url.rpartition(':')[2].partition('/')[0]}/", "1/"), r"Connect call failed"),
    ],
)  # fmt: skip
def test_what_cannot_be_reached_is_said_at_once_with_its_name_and_without_its_password(
    url: str, change: Callable[[str], str], said: str
) -> None:
    began = time.monotonic()
    with pytest.raises(StoreError, match=said) as told:
        postgres_database(change(url), table)
    assert time.monotonic() - began < 5
    password = url.partition("prefect:")[2].partition("@")[0]
    assert password not in str(told.value)
    assert "store 'postgresql://127.0.0.1:" in str(told.value)


def test_a_role_that_may_do_nothing_is_told_what_it_may_not(cluster: Cluster) -> None:
    place = cluster.make()
    told(place, "CREATE ROLE guest LOGIN PASSWORD 'guest'")
    guest = place.replace(place.partition("://")[2].partition("@")[0], "guest:guest")
    with pytest.raises(StoreError, match=r"permission denied for database d\d+\. Look at the log"):
        postgres_database(guest, table)
    # Where an administrator has made the schema, it may.
    told(place, "CREATE SCHEMA looprail AUTHORIZATION guest")
    database = postgres_database(guest, table)
    assert database.write(put(1)).result(5) == 1
    database.close()
