"""On whose thread is a transaction made?

To hand work to a thread and to be told by it are two wakings, which take as long as the transaction itself where the
disk is quick. So what the tasks of an event loop ask for in one round of it is done at once, on the loop's own thread,
while nobody else is writing and as long as the last transaction was a short one. All else waits for the writer's
thread, and the loop goes on meanwhile. Source: docs/decisions/0030-written-at-once.md
"""

import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence

from drivers.store.worker import Job, Worker

QUICK_S = 0.003
"""A loop is held up for so long by a transaction that nobody foresaw to be longer; most of it is the disk."""

Commit = Callable[[Sequence[Job], bool], Sequence[Job]]
"""Make a transaction of these; the jobs that are left where somebody else was writing and it was not to wait."""


class Turns:
    """One connection's transactions, one at a time."""

    def __init__(
        self, name: str, commit: Commit, end: Callable[[], None], *, batch: int, at_once: bool
    ) -> None:
        """`at_once`: whether the connection may be used on the thread of an event loop."""
        self._commit, self._end, self._at_once, self._batch = commit, end, at_once, batch
        self._free = threading.Lock()
        self._quick = False
        self._asked: dict[AbstractEventLoop, list[Job]] = {}
        self._worker = Worker(name, self._in_turn, self._close, batch)

    def queue(self, job: Job) -> None:
        """For the writer's thread. Raises `StoreError` after `close`."""
        self._worker.put(job)

    def ask(self, job: Job, loop: AbstractEventLoop) -> None:
        """With all that is asked for in this round of the loop, on whichever thread. Raises as `queue` does."""
        if not (self._at_once and self._quick):
            self._worker.put(job)
            return
        self._worker.refuse_when_closed()
        asked = self._asked.setdefault(loop, [])
        asked.append(job)
        if len(asked) == 1:
            loop.call_soon(self._round, loop)

    @property
    def closed(self) -> bool:
        """No more work is taken."""
        return self._worker.closed

    def close(self) -> None:
        """Finish what is queued. Safe to repeat."""
        self._worker.close()

    def _round(self, loop: AbstractEventLoop) -> None:
        jobs = self._asked.pop(loop)
        left: Sequence[Job] = jobs
        # What waits for the thread was asked for before.
        short = self._quick and len(jobs) <= self._batch and not self._worker.busy
        if short and self._free.acquire(blocking=False):
            try:
                left = jobs if self._worker.closed else self._timed(jobs, wait=False)
            finally:
                self._free.release()
        for job in jobs:
            if job in left:
                self._worker.put_or_break(job)
            else:
                job.settle()

    def _in_turn(self, jobs: Sequence[Job]) -> None:
        with self._free:
            self._timed(jobs, wait=True)

    def _timed(self, jobs: Sequence[Job], *, wait: bool) -> Sequence[Job]:
        began = time.monotonic()
        left = self._commit(jobs, wait)
        if not left:
            self._quick = time.monotonic() - began < QUICK_S
        return left

    def _close(self) -> None:
        with self._free:
            self._end()
