"""How do many tasks and threads of a process share one database?

Writes: one transaction at a time (`turns`), of whatever is asked for by then, with one commit (group commit). Work that
raises is left out and the rest done again, since a savepoint for each would cost all the others a copy of every page
they touch. Reads: one thread, a snapshot each. How processes take turns is the connection's: `connection` for SQLite,
`postgres`.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar

from drivers.crash import around, point
from drivers.store.sql import Sql
from drivers.store.turns import Turns
from drivers.store.worker import Job, TaskJob, Worker
from governance.errors import StoreError

T = TypeVar("T")

BATCH = 64
"""Pieces of work that share one commit at most."""

PATIENCE_S = 60.0
"""How long what is not ours may hold the database, or be away, before a write gives up."""


class Connection(Sql, Protocol):
    """One connection, used by one thread at a time."""

    def told(self, error: Exception) -> Exception:
        """What a caller gets: a `StoreError` with a way out for the database's own errors, any other as it is."""
        ...

    def close(self) -> None:
        """Let go of the database. Safe to repeat."""
        ...


class Reader(Connection, Protocol):
    """A connection that cannot write."""

    def look(self, work: Callable[[Sql], T]) -> T:
        """Do the work on one snapshot of what is committed."""
        ...


class Writer(Connection, Protocol):
    """The connection that writes."""

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        ...

    @property
    def at_once(self) -> bool:
        """Whether it may be used on the thread of an event loop."""
        ...

    def writing(self, *, wait: bool = True) -> AbstractContextManager[None]:
        """A transaction that no other process writes beside.

        Durable when the block has ended; undone when it raised. Raises `Taken` where others write and it is not to wait.
        """
        ...


class Taken(Exception):
    """Somebody else is writing."""


class _Broken(Exception):
    """This piece of work raised, and was told so: the others are done without it."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job


class Database:
    """A database, open for writing and reading, after `prepare` has brought it up to date."""

    def __init__(
        self, name: str, writer: Writer, reader: Callable[[], Reader],
        prepare: Callable[[Sql], None],
    ) -> None:  # fmt: skip
        """`reader` is called once the database is up to date. Raises `StoreError`, and what `prepare` raises."""
        self.name, self._writer = name, writer
        with ExitStack() as undo:
            undo.callback(writer.close)
            with _telling(writer):
                # A thread of its own: the caller's may run an event loop, beside which no other one can run.
                with around("prepare"), ThreadPoolExecutor(1) as apart:
                    apart.submit(self._bring_up, prepare).result()
                self._reader = reader()
            undo.pop_all()
        self._writes = Turns(
            f"store '{name}' (writer)", self._commit, writer.close, batch=BATCH, at_once=writer.at_once,
        )  # fmt: skip
        self._reads = Worker(f"store '{name}' (reader)", self._look, self._reader.close, 1)

    def write(self, work: Callable[[Sql], T]) -> Future[T]:
        """Do the work in a transaction; its value once that is durable. What it raises undoes it alone.

        It is done again where what shared its transaction raised, so nothing but the database may remember it.
        """
        job = Job(work)
        self._writes.queue(job)
        return job.future

    def read(self, work: Callable[[Sql], T]) -> Future[T]:
        """Do the work on one snapshot of what is committed."""
        job = Job(work)
        self._reads.put(job)
        return job.future

    async def written(self, work: Callable[[Sql], T]) -> T:
        """What `write` gives, for a task."""
        loop = asyncio.get_running_loop()
        job = TaskJob(work, loop)
        self._writes.ask(job, loop)
        return await job.future

    async def looked(self, work: Callable[[Sql], T]) -> T:
        """What `read` gives, for a task."""
        job = TaskJob(work, asyncio.get_running_loop())
        self._reads.put(job)
        return await job.future

    @property
    def closed(self) -> bool:
        """The database was let go of."""
        return self._writes.closed

    def close(self) -> None:
        """Finish what is queued and let go of the database. Safe to repeat."""
        self._reads.close()
        self._writes.close()

    def _bring_up(self, prepare: Callable[[Sql], None]) -> None:
        with self._writer.writing():
            prepare(self._writer)
            point("in-prepare")

    def _commit(self, jobs: Sequence[Job], wait: bool) -> Sequence[Job]:
        left = [job for job in jobs if job.wanted()]
        while left:
            try:
                broken = self._write(left, wait)
            except Taken:
                return left
            except Exception as error:
                # Whatever broke the transaction belongs to those who wait for it.
                told = self._writer.told(error)
                if told is not error:
                    told.__cause__ = error
                for job in left:
                    job.broke(told)
                return ()
            if broken is None:
                return ()
            left.remove(broken)
        return ()

    def _write(self, jobs: Sequence[Job], wait: bool) -> Job | None:
        """All of it is durable; or nothing was written, because of the one that raised."""
        try:
            with self._writer.writing(wait=wait):
                for job in jobs:
                    self._do(job)
                    self._still_in_one()
                point("in-commit")
        except _Broken as undone:
            return undone.job
        return None

    def _do(self, job: Job) -> None:
        try:
            job.ran(job.work(self._writer))
        except Exception as error:
            # It belongs to the one who asked, the others go on; unless the database has undone all of them.
            if not self._writer.in_transaction:
                raise
            job.broke(self._writer.told(error))
            raise _Broken(job) from error

    def _still_in_one(self) -> None:
        # Without one each statement of the next would be a transaction of its own.
        if not self._writer.in_transaction:
            raise StoreError(
                f"store '{self.name}': the transaction was ended in the middle of the work, and nothing was "
                "written. Ask again; when it happens again, look which statement ends it."
            )

    def _look(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if job.wanted():
                with _telling(self._reader):
                    job.ran(self._reader.look(job.work))


@contextmanager
def _telling(connection: Connection) -> Generator[None]:
    """The database's own errors leave the block as what a caller gets, all others as they are."""
    try:
        yield
    except Exception as error:
        told = connection.told(error)
        if told is error:
            raise
        raise told from error
