"""How does a step become a Prefect task run that happens once?

A task run is envelope, timeline and retry; the journal is the memory. Every effect task is cached under its step's
key and answered from the journal (`blocks.journal`), so a replayed step shows as Cached and nothing is made again.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, SupportsIndex, TypedDict, cast, overload

from prefect import Task
from prefect._internal.result_records import ResultRecord
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.states import Completed

from blocks.journal import JOURNAL as JOURNAL
from governance.edge import LONGEST_PAUSE_S
from governance.effects import Place, Stop
from governance.errors import Unavailable, Unknown

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


class Receipt(TypedDict):
    """What a step's task run returns: proof by digest that the journal has it, or why it was not made."""

    key: str
    digest: str | None
    """None when the step was stopped or waits; then nothing is cached and it is asked again next time."""
    stop: dict[str, str] | None
    waits: bool


@dataclass(frozen=True)
class Step:
    """One task run's place, and how people read it."""

    place: Place
    label: str

    @property
    def key(self) -> str:
        """The cache key: the effect's own key."""
        return self.place.key


Answer = Receipt | State[Receipt]
"""What a step's body returns: a receipt, alone or in a state that people should see by name."""


def kept(step: Step, digest: str) -> Receipt:
    """The receipt of a step the journal has."""
    return Receipt(key=step.key, digest=digest, stop=None, waits=False)


def stopped(step: Step, stop: Stop) -> State[Receipt]:
    """The state of a step that was not admitted; visible as Stopped, cached as nothing."""
    receipt = Receipt(
        key=step.key, digest=None, stop={"reason": stop.reason, "detail": stop.detail}, waits=False
    )
    return Completed(name="Stopped", message=stop.detail, data=receipt)


def waiting(step: Step, what: str) -> State[Receipt]:
    """The state of a step that needs a person first."""
    receipt = Receipt(key=step.key, digest=None, stop=None, waits=True)
    return Completed(name="Waiting", message=what, data=receipt)


def _key(_: TaskRunContext, parameters: dict[str, Any]) -> str:
    return parameters["step"].key


def _heals(_: Task[..., Any], __: TaskRun, state: State[Any]) -> bool:
    """Only what may heal is tried again; what may have happened is asked about in the store first (T4)."""
    error = state.data
    if not isinstance(error, Unavailable | Unknown):
        return False
    _named.set(error.retry_after_s or 0)
    return _named.get() <= LONGEST_PAUSE_S


Body = Callable[[Step], Awaitable[Answer]]


def effect(name: str) -> Callable[[Body], Task[[Step], Any]]:
    """A task over one step: cached under its key, retried where that can heal."""

    def decorate(body: Body) -> Task[[Step], Any]:
        return Task(
            body,
            name=name,
            task_run_name="{step.label}",
            cache_key_fn=_key,
            persist_result=True,
            result_serializer="json",
            cache_result_in_memory=False,
            retries=len(RETRY_DELAYS_S),
            retry_delay_seconds=RETRY_DELAYS_S,
            retry_condition_fn=_heals,
        )

    return decorate


async def perform(made: Task[[Step], Any], step: Step) -> Receipt:
    """Run a step's task; its receipt, also when the body gave its state a name of its own."""
    returned = await made(step)
    if isinstance(returned, State):
        data = returned.data
        returned = data.result if isinstance(data, ResultRecord) else data
    told = cast(dict[str, Any], returned)
    return Receipt(
        key=told["key"],
        digest=told["digest"],
        stop=told.get("stop"),
        waits=told.get("waits", False),
    )
