"""How does a step become a Prefect task run that happens once?

The journal is the memory and is asked first: what is on record is folded in without a task run, so a long item is
back where it stood in no time. A task run is envelope, timeline and retry of what is new. Prefect keeps no result.
Source: docs/decisions/0025-asked-first.md
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, SupportsIndex, overload

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from blocks.journal import JOURNAL as JOURNAL
from governance.edge import LONGEST_PAUSE_S
from governance.effects import Stop
from governance.errors import DriverError, Unavailable, Unknown
from governance.failures import ended_by
from tasks.job import current
from tasks.step import Came, Step, shown
from tasks.world import now_ms

_named: ContextVar[float] = ContextVar("named", default=0.0)


class Pauses(list[float]):
    """Seconds before each further try: ours, or as many as the far side named with the last one, if more.

    Prefect has one list for a task and asks nobody else. The edge waits for the moment whatever stands here; from
    here people see it, as the scheduled time of AwaitingRetry.
    """

    @overload
    def __getitem__(self, n: SupportsIndex, /) -> float: ...
    @overload
    def __getitem__(self, n: slice, /) -> list[float]: ...
    def __getitem__(self, n: SupportsIndex | slice, /) -> float | list[float]:
        ours = super().__getitem__(n)
        return ours if isinstance(ours, list) else max(ours, _named.get())


RETRY_DELAYS_S = Pauses((1, 4, 15, 60))


def _heals(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Only what may heal is tried again; what may have happened is asked about in the store first (T4)."""
    error = state.data
    if not isinstance(error, Unavailable | Unknown):
        return False
    _named.set(error.retry_after_s or 0)
    return _named.get() <= LONGEST_PAUSE_S


Body = Callable[[Step], Awaitable[Came]]


def effect(name: str) -> Callable[[Body], Task[[Step], Any]]:
    """A task over one step: retried where that can heal, and nothing of it kept by Prefect."""

    def decorate(body: Body) -> Task[[Step], Any]:
        @wraps(body)
        async def make(step: Step) -> State[None] | None:
            came = current().came[step.key] = await body(step)
            return shown(came)

        return Task(
            make,
            name=name,
            task_run_name="{step.label}",
            cache_policy=NO_CACHE,
            persist_result=False,
            retries=len(RETRY_DELAYS_S),
            retry_delay_seconds=RETRY_DELAYS_S,
            retry_condition_fn=_heals,
        )

    return decorate


async def perform(
    made: Task[[Step], Any],
    step: Step,
    about: object = None,
    *,
    ended: Callable[[DriverError, int], Stop] = ended_by,
) -> Came:
    """What came of a step; what is on record is not made again.

    `about` is what its body works on: it finds it in `Job.asking` under the step's key. A failure that no try healed
    is a wait, where the far side has named a moment, or a stop, worded by `ended`.
    """
    job = current()
    if step.key in job.results:
        return None
    job.asking[step.key] = about
    try:
        await made(step)
        return job.came.pop(step.key)
    except DriverError as error:
        return job.patience.left_alone(error) or ended(error, now_ms())
    finally:
        del job.asking[step.key]
