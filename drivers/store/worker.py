"""How do callers from any thread or event loop share one database connection?"""

import atexit
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from drivers.store.sql import Sql
from governance.errors import StoreError


class Job:
    """One caller's piece of work, and where its outcome goes to; a thread waits for `future`."""

    __slots__ = ("_error", "_value", "future", "work")

    def __init__(self, work: Callable[[Sql], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
        self._value: Any = None
        self._error: Exception | None = None

    def wanted(self) -> bool:
        """False when the caller has gone; from now on it can no longer go."""
        return self.future.set_running_or_notify_cancel()

    def ran(self, value: object) -> None:
        """The work is done, but not yet durable."""
        self._value, self._error = value, None

    def broke(self, error: Exception) -> None:
        """The work raised, and is undone."""
        self._error = error

    def resolve(self) -> None:
        """Tell the caller; called only after the commit."""
        if self.future.done() or not (self.future.running() or self.wanted()):
            return
        self.settle()

    def settle(self) -> None:
        """The outcome, on the thread that waits for it."""
        if self._error is None:
            self.future.set_result(self._value)
        else:
            self.future.set_exception(self._error)


class TaskJob(Job):
    """One for which a task of an event loop waits."""

    __slots__ = ("_loop",)

    def __init__(self, work: Callable[[Sql], Any], loop: AbstractEventLoop) -> None:
        self.work, self._loop = work, loop
        self.future: Any = loop.create_future()
        self._value, self._error = None, None

    def wanted(self) -> bool:
        """False when the task has gone."""
        return not self.future.cancelled()

    def resolve(self) -> None:
        """Tell the task, on its own thread."""
        try:
            self._loop.call_soon_threadsafe(self.settle)
        except RuntimeError:
            # Its loop is closed, so nobody waits any more.
            if not self._loop.is_closed():
                raise

    def settle(self) -> None:
        """The outcome, on the thread of the loop."""
        if not self.future.done():
            super().settle()


class Worker:
    """A thread that takes what is queued, up to `batch` jobs at a time, and hands it to `turn`."""

    def __init__(
        self, name: str, turn: Callable[[Sequence[Job]], None], end: Callable[[], None], batch: int
    ) -> None:
        self._name, self._turn, self._end, self._batch = name, turn, end, batch
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        # A daemon, so that a forgotten store cannot keep the interpreter alive; atexit still drains it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, job: Job) -> None:
        """Queue the work. Raises `StoreError` after `close`."""
        with self._gate:
            self.refuse_when_closed()
            self._queue.put(job)

    def put_or_break(self, job: Job) -> None:
        """Queue the work; after `close` its caller is told."""
        try:
            self.put(job)
        except StoreError as error:
            job.broke(error)
            job.settle()

    def refuse_when_closed(self) -> None:
        """Raises `StoreError` after `close`."""
        if self._closed:
            raise StoreError(f"{self._name} is closed; nothing was read or written. Open it again.")

    @property
    def busy(self) -> bool:
        """Work waits for the thread."""
        return not self._queue.empty()

    @property
    def closed(self) -> bool:
        """No more work is taken."""
        return self._closed

    def close(self) -> None:
        """Finish what is queued, then end the thread. Safe to repeat."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        going = True
        while going:
            going, jobs = self._take()
            if jobs:
                self._serve(jobs)
        self._end()

    def _take(self) -> tuple[bool, list[Job]]:
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == self._batch:
                return True, jobs
            try:
                job = self._queue.get_nowait()
            except Empty:
                return True, jobs
        return False, jobs

    def _serve(self, jobs: Sequence[Job]) -> None:
        try:
            self._turn(jobs)
        except Exception as error:
            # Whatever broke the turn belongs to those who wait for it; a dead thread would let them wait for ever.
            for job in jobs:
                job.broke(error)
        for job in jobs:
            job.resolve()
