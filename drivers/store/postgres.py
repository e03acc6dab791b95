"""How is a Postgres database written and read by many processes, on many hosts?

Writes: a transaction-scoped advisory lock is taken first, so that one process writes at a time, in the order in which
they asked; whoever dies, or lets a transaction stand still for too long, gives it back. Reads: a read-only
connection, a snapshot each. Source: docs/decisions/0028-one-writer-on-postgres.md
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

from asyncpg import exceptions

from drivers.store.database import PATIENCE_S, Database
from drivers.store.postgres_sql import OF_POSTGRES, SCHEMA, PostgresSql
from drivers.store.sql import Sql
from governance.errors import StoreError

T = TypeVar("T")

WRITER = 0x6C6F6F707261696C
"""The lock's number, `looprail` in ASCII; such locks are apart for each database."""


def postgres_database(
    url: str, prepare: Callable[[Sql], None], patience_s: float = PATIENCE_S
) -> Database:
    """The database at a URL, our schema in it made when it is not there. Raises `StoreError`."""
    writer = PostgresWriter(url, patience_s)

    def prepared(sql: Sql) -> None:
        # Asked first: whoever may not make schemas may not say IF NOT EXISTS either.
        there = sql.one("SELECT 1 FROM pg_namespace WHERE nspname = :schema", schema=SCHEMA)
        if there is None:
            sql.run(f"CREATE SCHEMA {SCHEMA}")
        prepare(sql)

    return Database(writer.name, writer, lambda: PostgresReader(url, patience_s), prepared)


class _PostgresConnection(PostgresSql):
    def told(self, error: Exception) -> Exception:
        """A `StoreError` with a way out for Postgres' own errors, any other as it is."""
        if not isinstance(error, OF_POSTGRES):
            return error
        if isinstance(error, exceptions.LockNotAvailableError):
            return StoreError(
                f"store '{self.name}' was held by another program for longer than {self._patience_s:g} s, and "
                "nothing was written. Look who holds it (`SELECT * FROM pg_stat_activity`), and end that."
            )
        if self.lost(error):
            return StoreError(
                f"store '{self.name}' was lost in the middle of a transaction ({error or type(error).__name__}), "
                "and nothing was written. It is connected anew by itself: ask again."
            )
        return StoreError(
            f"store '{self.name}' cannot be used: {error}. Look at the log of Postgres and the role's rights."
        )


class PostgresReader(_PostgresConnection):
    """A connection that cannot write."""

    def __init__(self, url: str, patience_s: float) -> None:
        super().__init__(
            url, patience_s, patient=True, settings={"default_transaction_read_only": "on"}
        )

    def look(self, work: Callable[[Sql], T]) -> T:
        """Do the work on one snapshot; once more where the connection is lost, since nothing came of it."""
        self.connect()
        try:
            return self._look(work)
        except OF_POSTGRES as error:
            if not self.lost(error):
                raise
            self.drop()
        self.connect()
        return self._look(work)

    def _look(self, work: Callable[[Sql], T]) -> T:
        self.say("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            return work(self)
        finally:
            if self.in_transaction:
                self.say("ROLLBACK")


class PostgresWriter(_PostgresConnection):
    """The connection that writes, under the lock between processes."""

    def __init__(self, url: str, patience_s: float) -> None:
        settings = {
            # Whatever the role or the database was set to: what is committed is on disk.
            "synchronous_commit": "on",
            "lock_timeout": f"{patience_s * 1000:.0f}",
            # Sooner than those who wait give up: it is undone, and they go on.
            "idle_in_transaction_session_timeout": f"{patience_s * 500:.0f}",
        }
        super().__init__(url, patience_s, patient=False, settings=settings)
        self._transaction: int | None = None
        self._history: str | None = None

    def connect(self) -> None:
        """As ever; and note which history of the database this is: a standby that takes over begins another one."""
        if self.connected:
            return
        super().connect()
        try:
            row = self.one("SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS history")
        except exceptions.PostgresError:
            # There are services in which nobody may ask.
            row = None
        self._history = row["history"] if row is not None else None

    @property
    def at_once(self) -> bool:
        """No: it has an event loop of its own, and a thread has one that runs."""
        return False

    @contextmanager
    def writing(self, *, wait: bool = True) -> Generator[None]:
        """A transaction under the lock; committed, or surely not, when the block has ended."""
        self._begin()
        try:
            yield
            self._commit()
        except Exception as error:
            if self.lost(error):
                self.drop()
            elif self.in_transaction:
                self.say("ROLLBACK")
            raise

    def _begin(self) -> None:
        self.connect()
        try:
            self._take()
        except OF_POSTGRES as error:
            if not self.lost(error):
                if self.in_transaction:
                    self.say("ROLLBACK")
                raise
            # It was lost while nobody used it: nothing had begun.
            self.drop()
            self.connect()
            self._take()

    def _take(self) -> None:
        # Each statement sees what is committed by then. With one snapshot for the whole transaction it would be that
        # of the moment at which the lock was asked for, before others wrote.
        self.say(f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITER})")
        row = self.one("SELECT pg_current_xact_id() AS number")
        self._transaction = row["number"] if row is not None else None

    def _commit(self) -> None:
        # Outside of one Postgres says COMMIT as well, and only warns.
        over = self.connected and not self.in_transaction
        try:
            said = "nothing to commit" if over else self.say("COMMIT")
        except OF_POSTGRES as error:
            if not self.lost(error):
                raise
            self._look_up(error)
            return
        if said != "COMMIT":
            raise StoreError(
                f"store '{self.name}' undid a transaction ({said}), and nothing was written. Ask again."
            )

    def _look_up(self, error: Exception) -> None:
        """The answer to a commit was lost: return when it was committed, else raise `StoreError`."""
        number, history, said = self._transaction, self._history, None
        self.drop()
        try:
            # Under the lock: the transaction that had it is over.
            self._begin()
            row = self.one("SELECT pg_xact_status(CAST(:number AS xid8)) AS status", number=number)
            # In another history the number may be another transaction's.
            same = history is not None and history == self._history
            said = row["status"] if row is not None and same else None
            self.say("ROLLBACK")
        except (*OF_POSTGRES, StoreError):
            self.drop()
        if said == "aborted":
            raise StoreError(
                f"store '{self.name}' was lost in a commit ({error or type(error).__name__}), and nothing was "
                "written. It is connected anew by itself: ask again."
            ) from error
        if said != "committed":
            raise StoreError(
                f"store '{self.name}' was lost in a commit ({error or type(error).__name__}), and whether it was "
                "written is unknown. See that Postgres is up, and ask again: what was written is found there."
            ) from error
