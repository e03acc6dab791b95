"""Does everything that happens pass one choke point, on a real ledger, whatever the far side does?

The store is real; the ports are fakes that do exactly what a test says.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from drivers.blobs import DirectoryBlobs
from drivers.store.store import SqlStore
from governance import edge as edge_module
from governance.budgets import BudgetRule
from governance.charges import Amounts, Charge
from governance.conversation import (
    EMPTY_HEAD,
    ModelRequest,
    Reply,
    ToolResult,
    ToolSpec,
    Usage,
    assistant,
    chain,
    user,
)
from governance.edge import LONGEST_PAUSE_S, Edge
from governance.effects import (
    NOT_BEFORE,
    Evidence,
    InDoubt,
    Intent,
    Recorded,
    Refused,
    Settlement,
    Stop,
)
from governance.errors import Damaged, Rejected, StoreError, Unavailable, Unknown
from governance.guardrails import Screen
from governance.parts import Json, pico
from governance.prices import Book, BoxTime, Contract, cost, input_bound, worst_case
from governance.prices.contract import ModelTerms, SandboxRate
from governance.records import Budget, LedgerRow
from tests.drivers.store.story import RUN, Story, store_in

MODEL = "claude-sonnet-4-6"
SECRET = "sk-live-0123456789abcdef"
USED = Usage(input_tokens=40, output_tokens=20)


@dataclass
class FakeModel:
    """Answers, or fails, as told; keeps what it was asked."""

    says: Reply | Exception | Callable[[], Awaitable[Reply]]
    asked: list[ModelRequest] = field(default_factory=list[ModelRequest])

    async def reply(self, request: ModelRequest, *, timeout_s: float) -> Reply:
        self.asked.append(request)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if isinstance(self.says, Reply) else await self.says()

    async def count(self, request: ModelRequest) -> int:
        raise AssertionError("the edge never counts at the provider")


@dataclass
class FakeConnector:
    """Answers, or fails, as told; keeps what it was asked."""

    says: ToolResult | Exception
    connects: Callable[[], None] = lambda: None
    """What happens while it connects, before it asks whether the call may still be sent."""
    asked: list[tuple[str, Json, str]] = field(default_factory=list[tuple[str, Json, str]])

    async def tools(self) -> tuple[ToolSpec, ...]:
        raise AssertionError("the edge never lists")

    async def call(
        self, tool: str, arguments: Json, *, key: str, timeout_s: float, max_bytes: int,
        in_time: Callable[[], None],
    ) -> ToolResult:  # fmt: skip
        self.connects()
        in_time()
        self.asked.append((tool, arguments, key))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@dataclass
class Desk:
    """One item at one edge, with a clock that a test moves."""

    story: Story
    now: int = 10_000

    @property
    def edge(self) -> Edge:
        return Edge(self.story.store, lambda: self.now, lambda: Screen((SECRET,)))

    def intent(self, step: int = 0, **changes: Any) -> Intent:
        return self.story.intent(step, now=self.now, **{"kind": "model", "args": {}, **changes})

    async def model(self, port: FakeModel, step: int = 0, **told: Any) -> Any:
        asked = told.pop("request", request())
        return await self.edge.model(port, asked, self.intent(step, **told), timeout_s=9)

    async def tool(self, port: FakeConnector, step: int = 0, **told: Any) -> Any:
        labels = told.pop("labels", ())
        price = told.pop("price_usd", None)
        intent = self.intent(step, kind="tool", **told)
        return await self.edge.tool(
            port, "list", intent, labels=labels, timeout_s=9, max_bytes=99, price_usd=price
        )

    async def rows(self) -> tuple[LedgerRow, ...]:
        return await self.story.store.ledger(run=RUN)

    async def budget(self, name: str = "run:r1:usd") -> Budget:
        found = await self.story.store.budget(name, RUN)
        assert found is not None
        return found


def request(text: str = "hello", **changes: Any) -> ModelRequest:
    return replace(ModelRequest(MODEL, "Role: lead", (user(text),), max_tokens=100), **changes)


def answer(*texts: str, usage: Usage = USED, stop: str = "end_turn") -> Reply:
    content = tuple({"type": "text", "text": t} for t in texts)
    return Reply(content, stop, usage, MODEL + "-2026", "msg_1", "req_1")


def worst(asked: ModelRequest) -> int:
    found = worst_case(input_bound(asked), asked.max_tokens, MODEL, 10_000)
    assert found is not None
    return found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = store_in(tmp_path)
    yield opened
    opened.disconnect()


@pytest.fixture
async def desk(store: SqlStore) -> Desk:
    """One item that may spend a cent, ten thousand tokens and five steps."""
    story = Story(store)
    caps = (Budget("run:r1:usd", RUN, pico(Decimal("0.01"))), Budget("run:r1:tokens", RUN, 10_000))
    await story.open_run(RUN, "06:00", *caps)
    (item,) = await story.find("test_a", budgets=(Budget("item:{item}:steps", RUN, 5),))
    await story.claim(item.item)
    return Desk(story)


# what an answer amounts to ------------------------------------------------------


async def test_a_model_call_is_reserved_at_its_worst_and_settled_at_its_price(desk: Desk) -> None:
    during: list[Budget] = []

    async def look() -> Reply:
        during.append(await desk.budget())
        return answer("fine")

    done = await desk.model(FakeModel(look))
    assert isinstance(done, Recorded)
    paid = cost(USED, MODEL, desk.now)
    assert (during[0].held, during[0].spent) == (worst(request()), 0)
    after = await desk.budget()
    assert (after.held, after.spent, after.unknown) == (0, paid, 0)
    (row,) = await desk.rows()
    assert (row.status, row.cost, row.cost_status, row.reserved) == (
        "done", paid, "priced", worst(request()),
    )  # fmt: skip
    assert row.usage == USED
    assert row.response_model == MODEL + "-2026"
    assert row.attributes["gen_ai.response.finish_reasons"] == ["end_turn"]
    assert (await desk.budget("run:r1:tokens")).spent == USED.total
    assert (await desk.budget(f"item:{desk.story.item}:steps")).spent == 1


async def test_the_head_after_a_call_is_chained_over_what_the_model_said(desk: Desk) -> None:
    done = await desk.model(FakeModel(answer("fine")), head=EMPTY_HEAD)
    said = Reply.from_json(done.result)
    (entry,) = await desk.story.store.entries(desk.story.item)
    assert entry.head_after == chain(EMPTY_HEAD, (assistant(said),))


async def test_what_was_done_is_not_done_again(desk: Desk) -> None:
    port = FakeModel(answer("fine"))
    first = await desk.model(port)
    again = await desk.model(port)
    assert again.result == first.result
    assert len(port.asked) == 1
    assert len(await desk.rows()) == 1


# money ----------------------------------------------------------------------------


async def test_a_call_that_does_not_fit_is_refused_before_the_world_is_touched(desk: Desk) -> None:
    port = FakeModel(answer("fine"))
    refused = await desk.model(port, request=request(max_tokens=1000))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "cost"
    assert "loops budget raise run:r1:usd" in refused.stop.detail
    assert port.asked == []
    assert await desk.rows() == ()
    stopped = await desk.story.store.item(desk.story.item)
    assert stopped is not None
    assert stopped.stop == refused.stop


async def test_an_unpriced_model_is_refused_where_cost_is_capped(desk: Desk) -> None:
    port = FakeModel(answer("fine"))
    asked = request(model="nobodys-model")
    refused = await desk.model(port, request=asked)
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "cost"
    assert "has no price" in refused.stop.detail
    assert port.asked == []


async def test_an_unpriced_model_is_counted_where_no_cost_is_capped(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run(RUN, "06:00", Budget("run:r1:tokens", RUN, 10_000))
    (item,) = await story.find("test_a", budgets=())
    await story.claim(item.item)
    desk = Desk(story)
    done = await desk.model(FakeModel(answer("fine")), request=request(model="nobodys-model"))
    assert isinstance(done, Recorded)
    (row,) = await desk.rows()
    assert (row.cost, row.cost_status) == (None, "unpriced"), "unknown is never zero"
    assert (await desk.budget("run:r1:tokens")).spent == USED.total


async def test_a_request_nobody_can_bound_is_refused(desk: Desk) -> None:
    port = FakeModel(answer("fine"))
    odd = {
        "role": "user",
        "content": [{"type": "image", "source": {"type": "url", "url": "http://x"}}],
    }
    refused = await desk.model(port, request=request(messages=(odd,)))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "malformed"
    assert "'image'" in refused.stop.detail
    assert port.asked == []


async def test_money_that_is_only_held_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_module, "HELD_POLL_S", 0.01)
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> Reply:
        under_way.set()
        await go_on.wait()
        return answer("first")

    big = request(max_tokens=400)
    assert worst(big) * 2 > pico(Decimal("0.01")) > worst(big) + (cost(USED, MODEL, 0) or 0)
    first = asyncio.create_task(desk.model(FakeModel(slow), 0, request=big))
    await under_way.wait()
    second = asyncio.create_task(desk.model(FakeModel(answer("second")), 1, request=big))
    await asyncio.sleep(0.1)
    assert not second.done()
    go_on.set()
    assert isinstance(await first, Recorded)
    assert isinstance(await second, Recorded)
    item = await desk.story.store.item(desk.story.item)
    assert item is not None
    assert item.stop is None


async def test_money_that_stays_held_is_waited_for_only_so_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_module, "HELD_POLL_S", 0.01)
    big = request(max_tokens=400)
    under_way = asyncio.Event()

    async def never() -> Reply:
        under_way.set()
        await asyncio.Event().wait()
        raise AssertionError

    first = asyncio.create_task(desk.model(FakeModel(never), 0, request=big))
    await under_way.wait()
    second = asyncio.create_task(desk.model(FakeModel(answer("x")), 1, request=big))
    await asyncio.sleep(0.05)
    desk.now += edge_module.HELD_WAIT_MS
    refused = await second
    assert isinstance(refused, Refused)
    assert refused.wait is not None
    assert refused.stop.reason == "cost"
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize(("per", "opens_s"), [("20s", 21), ("10m", 630)])
async def test_a_window_that_opens_soon_is_waited_for_in_process_and_one_that_opens_later_is_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, per: str, opens_s: int
) -> None:
    monkeypatch.setattr(edge_module, "HELD_POLL_S", 0.01)
    rule = BudgetRule(name="rate", calls=1, per=per)
    await desk.story.store.put_rules((rule,), (), by="claimed: noor", now=1)
    desk.now = 1_200_000
    assert isinstance(await desk.model(FakeModel(answer("first")), 0), Recorded)
    second = asyncio.create_task(desk.model(FakeModel(answer("second")), 1))
    await asyncio.sleep(0.1)
    soon = opens_s * 1000 < edge_module.HELD_WAIT_MS
    assert second.done() != soon
    desk.now += opens_s * 1000
    got = await second
    if soon:
        assert isinstance(got, Recorded)
        return
    assert isinstance(got, Refused)
    assert got.wait is not None
    assert got.wait.opens == desk.now
    item = await desk.story.store.item(desk.story.item)
    assert item is not None
    assert item.stop is None, "whoever waits is not stopped"
    assert isinstance(await desk.model(FakeModel(answer("second")), 1), Recorded)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["done", "unavailable", "unknown", "rejected", "dear", "bug"]),
            st.integers(1, 300),
        ),
        max_size=8,
    )
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_becomes_of_calls_side_by_side_no_cap_is_passed(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, int]]
) -> None:
    asyncio.run(_side_by_side(tmp_path_factory.mktemp("edge"), calls))


async def _side_by_side(home: Path, calls: list[tuple[str, int]]) -> None:
    store = store_in(home)
    story = Story(store)
    cap = pico(Decimal("0.006"))
    await story.open_run(RUN, "06:00", Budget("run:r1:usd", RUN, cap))
    (item,) = await story.find("test_a", budgets=())
    await story.claim(item.item)
    desk = Desk(story)
    fates: dict[str, Any] = {
        "unavailable": Unavailable("m", "busy"), "unknown": Unknown("m", "dead"), "rejected": Rejected("m", "no"),
        "bug": OSError("ours"), "done": answer("fine"), "dear": answer("fine", usage=Usage(25, 100)),
    }  # fmt: skip

    async def one(n: int, fate: str, room: int) -> Any:
        port = FakeModel(fates[fate])
        asked = request(max_tokens=max(room, 100))
        # A refusal for money that is only held is final here: the clock has no time to wait.
        late = Edge(story.store, lambda: desk.now + edge_module.HELD_WAIT_MS, lambda: Screen())
        intent = desk.intent(n, send_by=desk.now + 10**9, lease=desk.now + 10**9)
        return await late.model(port, asked, intent, timeout_s=9)

    outcomes = await asyncio.gather(
        *(one(n, fate, room) for n, (fate, room) in enumerate(calls)), return_exceptions=True
    )
    budget = await desk.budget()
    rows = await desk.rows()
    assert budget.held == 0
    assert budget.spent + budget.unknown <= cap
    assert budget.spent == sum(r.cost or 0 for r in rows)
    assert budget.unknown == sum(r.reserved for r in rows if r.status == "unknown")
    admitted = sum(not isinstance(o, Refused) for o in outcomes)
    assert len(rows) == admitted
    store.disconnect()


# failures -------------------------------------------------------------------------


async def test_a_call_that_surely_did_not_happen_frees_what_it_held(desk: Desk) -> None:
    with pytest.raises(Unavailable):
        await desk.model(FakeModel(Unavailable("m", "overloaded", 2)))
    budget = await desk.budget()
    assert (budget.held, budget.spent, budget.unknown) == (0, 0, 0)
    (row,) = await desk.rows()
    assert (row.status, row.cost, row.error) == ("failed", 0, "unavailable")
    assert row.attributes["error.message"] == "m: overloaded"


async def test_a_call_that_may_have_happened_stays_counted_and_its_next_try_pays_anew(
    desk: Desk,
) -> None:
    with pytest.raises(Unknown):
        await desk.model(FakeModel(Unknown("m", "the line went dead")))
    budget = await desk.budget()
    assert (budget.held, budget.unknown) == (0, worst(request()))
    done = await desk.model(FakeModel(answer("fine")))
    assert isinstance(done, Recorded)
    rows = sorted(await desk.rows(), key=lambda r: r.attempt)
    assert [(r.attempt, r.status) for r in rows] == [(1, "unknown"), (2, "done")]
    budget = await desk.budget()
    assert (budget.held, budget.unknown, budget.spent) == (0, worst(request()), rows[1].cost)


async def test_a_process_that_is_told_to_end_leaves_its_call_unknown(desk: Desk) -> None:
    under_way = asyncio.Event()

    async def never() -> Reply:
        under_way.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(desk.model(FakeModel(never)))
    await under_way.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (row,) = await desk.rows()
    assert (row.status, row.error) == ("unknown", "cancelled")
    assert (await desk.budget()).unknown == worst(request())


async def test_nothing_is_sent_once_its_moment_has_passed(desk: Desk) -> None:
    port = FakeModel(answer("fine"))
    with pytest.raises(Unavailable, match="moment"):
        await desk.model(port, send_by=desk.now - 1)
    assert port.asked == []
    (row,) = await desk.rows()
    assert row.status == "failed"


async def test_a_connection_that_took_too_long_to_make_carries_no_call(desk: Desk) -> None:
    def slowly() -> None:
        desk.now += 1_001

    port = FakeConnector(ToolResult("merged"), connects=slowly)
    with pytest.raises(Unavailable, match="not sent: the moment"):
        await desk.tool(port, repeatable=False)
    (row,) = await desk.rows()
    assert (row.status, port.asked) == ("failed", []), "it surely did not happen"
    port.connects = lambda: None
    assert isinstance(await desk.tool(port, repeatable=False), Recorded), "nobody need say so"


async def test_a_call_that_waited_may_be_sent_as_long_after_its_admission_as_any(
    desk: Desk,
) -> None:
    with pytest.raises(Unavailable):
        await desk.tool(FakeConnector(Unavailable("ci", "busy", 0.05)))
    port = FakeConnector(ToolResult("fine"))
    again = asyncio.create_task(desk.tool(port))
    await asyncio.sleep(0.02)
    desk.now += 5_000
    assert isinstance(await again, Recorded)
    assert len(port.asked) == 1


async def test_a_writing_call_that_may_have_happened_goes_to_a_person(desk: Desk) -> None:
    writes: Any = {"repeatable": False, "name": "github.merge", "args": {"number": 7}}
    with pytest.raises(Unknown):
        await desk.tool(FakeConnector(Unknown("github", "timed out")), **writes)
    port = FakeConnector(ToolResult("merged"))
    asked = await desk.tool(port, **writes)
    assert isinstance(asked, InDoubt)
    assert port.asked == []
    card = await desk.story.store.card(asked.card)
    assert card is not None
    assert card.kind == "in_doubt"


UNEXPECTED: dict[str, Callable[[], Exception]] = {
    "a bug of ours": lambda: ZeroDivisionError("ours"),
    "a disk that is full": lambda: OSError(28, "No space left on device"),
    "a limit of somebody's": lambda: TimeoutError(),
    "a field that is not there": lambda: KeyError("usage"),
    "an answer of another form": lambda: _invalid(),
    "several at once": lambda: ExceptionGroup("both", [ValueError("a"), ValueError("b")]),
    "a broken store": lambda: StoreError("nobody can read it"),
}


def _invalid() -> Exception:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(int).validate_python(SECRET)
    return raised.value


@pytest.mark.parametrize("case", UNEXPECTED)
async def test_whatever_ends_a_try_it_is_settled_at_once_and_its_money_stays_counted(
    desk: Desk, case: str
) -> None:
    error = UNEXPECTED[case]()
    with pytest.raises(type(error)) as raised:
        await desk.model(FakeModel(error))
    assert raised.value is error
    (row,) = await desk.rows()
    assert (row.status, row.error, row.cost) == ("unknown", "unexpected", None)
    assert row.attributes["error.message"].startswith(type(error).__name__)
    assert SECRET not in row.attributes["error.message"]
    budget = await desk.budget()
    assert (budget.held, budget.spent, budget.unknown) == (0, 0, worst(request()))
    done = await desk.model(FakeModel(answer("fine")))
    assert isinstance(done, Recorded), "the next try needs no lease to end first"
    assert [r.status for r in await desk.rows()] == ["unknown", "done"]
    assert (await desk.budget()).unknown == worst(request())


async def test_a_bug_behind_a_write_puts_it_before_a_person(desk: Desk) -> None:
    writes: Any = {"repeatable": False, "name": "github.merge", "args": {"number": 7}}
    with pytest.raises(KeyError):
        await desk.tool(FakeConnector(KeyError("number")), **writes)
    port = FakeConnector(ToolResult("merged"))
    assert isinstance(await desk.tool(port, **writes), InDoubt)
    assert port.asked == []


async def test_an_answer_that_cannot_be_stored_is_unknown_and_stays_counted(
    desk: Desk, tmp_path: Path
) -> None:
    async def lose_the_blobs() -> Reply:
        shutil.rmtree(tmp_path / "blobs", ignore_errors=True)
        (tmp_path / "blobs").write_text("a disk that went away")
        return answer("x" * 20_000)

    with pytest.raises(StoreError, match="could not be written"):
        await desk.model(FakeModel(lose_the_blobs))
    (row,) = await desk.rows()
    assert (row.status, row.error) == ("unknown", "unexpected")
    budget = await desk.budget()
    assert (budget.held, budget.unknown) == (0, worst(request()))


async def test_an_effect_that_finds_its_files_gone_has_not_happened_and_holds_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    """The blob of a workspace is missing when its box is filled: long before the lease nobody waits for the try."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    state = await blobs.put(b"what the maker wrote")
    (blob,) = (tmp_path / "blobs").glob("??/??/*")
    blob.unlink()

    async def act() -> Settlement:
        await blobs.get(state)
        raise AssertionError("the box was filled")

    with pytest.raises(Damaged, match="is missing"):
        await desk.edge.local(desk.intent(kind="sandbox"), act)
    (row,) = await desk.rows()
    assert (row.status, row.error, row.cost) == ("failed", "damaged", 0)
    assert state in row.attributes["error.message"]
    assert row.ended_at == desk.now


@contextmanager
def writing(home: Path) -> Generator[None]:
    """Another process writes just now, so that ours has to wait."""
    lock = os.open(home / "store.db.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield
    os.close(lock)


async def test_a_process_that_is_told_to_end_while_it_is_let_in_has_sent_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    writes: Any = {"repeatable": False, "name": "github.merge", "args": {"number": 7}}
    port = FakeConnector(ToolResult("merged"))
    with writing(tmp_path):
        task = asyncio.create_task(desk.tool(port, **writes))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert port.asked == []
    (row,) = await desk.rows()
    assert (row.status, row.cost) == ("failed", 0)
    assert isinstance(await desk.tool(port, **writes), Recorded), "and no person is asked about it"
    assert len(port.asked) == 1


async def test_a_process_that_is_told_to_end_while_it_settles_throws_nothing_away(
    desk: Desk, tmp_path: Path
) -> None:
    settling, others = asyncio.Event(), ExitStack()

    async def last() -> Reply:
        others.enter_context(writing(tmp_path))
        settling.set()
        return answer("fine")

    task = asyncio.create_task(desk.model(FakeModel(last)))
    await settling.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.sleep(0.05)
    assert not task.done()
    others.close()
    with pytest.raises(asyncio.CancelledError):
        await task
    (row,) = await desk.rows()
    assert (row.status, row.cost) == ("done", cost(USED, MODEL, desk.now))
    assert (await desk.budget()).unknown == 0
    port = FakeModel(answer("again"))
    assert Reply.from_json((await desk.model(port)).result).text == "fine"
    assert port.asked == []


# the moment that a far side names ----------------------------------------------------


async def test_no_next_try_is_sent_before_the_moment_the_far_side_named(desk: Desk) -> None:
    with pytest.raises(Unavailable):
        await desk.model(FakeModel(Unavailable("m", "too many requests", 0.2)))
    (row,) = await desk.rows()
    assert row.attributes[NOT_BEFORE] == desk.now + 200
    port = FakeModel(answer("fine"))
    held: list[int] = []
    again = asyncio.create_task(desk.model(port))
    for early in (0, 100, 99):
        desk.now += early
        await asyncio.sleep(0.25)
        assert (port.asked, again.done()) == ([], False)
        held.append((await desk.budget()).held)
    assert held == [0, 0, 0], "what only waits holds nobody's money"
    # So late that the try could not be sent any more, were it counted from the first asking.
    desk.now += 5_000
    assert isinstance(await again, Recorded)
    (_, row) = await desk.rows()
    assert (row.attempt, row.status, row.started_at) == (2, "done", desk.now)


async def test_a_moment_that_is_far_off_keeps_no_process_waiting_and_nothing_is_sent_before_it(
    desk: Desk,
) -> None:
    far_s = LONGEST_PAUSE_S + 100
    with pytest.raises(Unavailable):
        await desk.model(FakeModel(Unavailable("m", "come back later", far_s)))
    port = FakeModel(answer("fine"))
    desk.now += 30_000
    with pytest.raises(Unavailable) as early:
        await desk.model(port)
    assert (early.value.retry_after_s, port.asked) == (far_s - 30, [])
    assert len(await desk.rows()) == 1, "nothing was tried"
    desk.now += int(far_s - 30) * 1000
    assert isinstance(await desk.model(port), Recorded)


async def test_a_moment_that_a_server_made_up_is_not_kept(desk: Desk) -> None:
    with pytest.raises(Unavailable):
        await desk.model(FakeModel(Unavailable("m", "see you next year", 365 * 86_400)))
    assert NOT_BEFORE not in (await desk.rows())[0].attributes
    assert isinstance(await desk.model(FakeModel(answer("fine"))), Recorded)


async def test_an_item_that_is_stopped_while_it_waits_for_the_moment_is_not_asked_for(
    desk: Desk,
) -> None:
    with pytest.raises(Unavailable):
        await desk.model(FakeModel(Unavailable("m", "too many requests", 0.1)))
    port = FakeModel(answer("fine"))
    again = asyncio.create_task(desk.model(port))
    await asyncio.sleep(0.02)
    stop = Stop("cancelled", "enough")
    await desk.story.store.stop(desk.story.item, stop, now=desk.now)
    assert await again == Refused(stop)
    assert port.asked == []


# secrets --------------------------------------------------------------------------


async def test_a_secret_reaches_neither_model_nor_record(desk: Desk) -> None:
    port = FakeModel(answer(f"your key is {SECRET}", "and " + SECRET.encode().hex()))
    asked = request(f"key: {SECRET}", system=f"Role: lead {SECRET}")
    done = await desk.model(port, request=asked)
    assert SECRET not in str(port.asked)
    assert "[secret]" in str(port.asked[0].messages)
    assert "[secret]" in port.asked[0].system
    assert Reply.from_json(done.result).text == "your key is [secret]\nand [secret]"


async def test_a_tool_call_that_holds_a_secret_is_refused_and_never_sent(desk: Desk) -> None:
    port = FakeConnector(ToolResult("fine"))
    for args in ({"body": f"x {SECRET}"}, {f"x{SECRET}": 1}, {"a": [{"b": SECRET.encode().hex()}]}):
        refused = await desk.tool(port, args=args)
        assert isinstance(refused, Refused)
        assert refused.stop.reason == "denied"
        assert SECRET not in refused.stop.detail
    assert port.asked == []
    assert await desk.rows() == ()


async def test_a_tools_answer_is_stored_without_our_secrets(desk: Desk) -> None:
    answered = ToolResult(f"echo {SECRET}", structured={"env": [SECRET]}, is_error=True)
    done = await desk.tool(FakeConnector(answered), labels=("untrusted",))
    assert done.result == {
        "text": "echo [secret]", "is_error": True, "structured": {"env": ["[secret]"]}, "truncated": False,
    }  # fmt: skip
    assert done.labels == ("untrusted",)
    (row,) = await desk.rows()
    assert (row.status, row.error) == ("done", "tool_error")


async def test_an_errors_text_is_stored_without_our_secrets(desk: Desk) -> None:
    with pytest.raises(Rejected):
        await desk.tool(FakeConnector(Rejected("github", f"bad token {SECRET}")))
    (row,) = await desk.rows()
    assert row.attributes["error.message"] == "github: bad token [secret]"


async def test_what_a_sandbox_prints_is_stored_without_our_secrets(desk: Desk) -> None:
    async def run() -> Settlement:
        return Settlement(
            now=desk.now, result={"text": SECRET}, cost=0, cost_status="free", price={}
        )

    done = await desk.edge.local(desk.intent(kind="sandbox"), run)
    assert isinstance(done, Recorded)
    assert done.result == {"text": "[secret]"}


# the key, the evidence, the stop ------------------------------------------------------


async def test_a_tool_gets_its_effects_key_as_idempotency_key(desk: Desk) -> None:
    port = FakeConnector(ToolResult("fine"))
    await desk.tool(port, 3, args={"a": 1})
    assert port.asked == [("list", {"a": 1}, desk.story.place(3).key)]


@pytest.mark.parametrize(
    ("proofs", "reason"),
    [
        ((), "verifier"),
        ((("verified", "t", "failed"),), "verifier"),
        ((("verified", "u", "passed"),), "verifier"),
        ((("verified", "t", "passed"),), "checker"),
        ((("verified", "t", "passed"), ("checked", "t", "revise")), "checker"),
        (
            (("verified", "t", "passed"), ("checked", "t", "accept"), ("verified", "t", "failed")),
            "verifier",
        ),
    ],
)
async def test_without_good_evidence_about_exactly_these_bytes_nothing_is_delivered(
    desk: Desk, proofs: Any, reason: str
) -> None:
    for n, (kind, tree, verdict) in enumerate(proofs):
        await desk.story.store.record(
            desk.story.place(n, "proof"), kind="step", name="proof", head="h", head_after="h", args={},
            result={}, labels=(), fence=desk.story.fence, now=desk.now,
            evidence=(Evidence(kind, tree, verdict, "verifier", "x"),),
        )  # fmt: skip
    port = FakeConnector(ToolResult("merged"))
    refused = await desk.tool(port, 9, tree="t", needs=("verified", "checked"))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == reason
    assert port.asked == []


async def test_evidence_that_nobody_can_give_is_a_mistake_of_ours(desk: Desk) -> None:
    with pytest.raises(StoreError, match="needs evidence"):
        await desk.tool(FakeConnector(ToolResult("x")), needs=("blessed",))


async def test_after_a_stop_nothing_new_is_admitted_but_what_is_done_comes_back(desk: Desk) -> None:
    port = FakeModel(answer("fine"))
    first = await desk.model(port)
    for step in range(1, 5):
        await desk.model(port, step)
    refused = await desk.model(port, 5)
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "steps"
    tool = FakeConnector(ToolResult("x"))
    assert (await desk.tool(tool, 6)).stop == refused.stop
    assert tool.asked == []
    assert (await desk.model(port)).result == first.result
    assert len(port.asked) == 5


async def test_a_process_that_was_replaced_can_start_nothing(desk: Desk) -> None:
    older = desk.intent()
    await desk.story.claim(now=desk.now)
    port = FakeModel(answer("fine"))
    refused = await desk.edge.model(port, request(), older, timeout_s=9)
    assert isinstance(refused, Refused)
    assert "took over" in refused.stop.detail
    assert port.asked == []


async def test_a_process_that_was_replaced_while_it_waited_still_pays(desk: Desk) -> None:
    async def replaced() -> Reply:
        await desk.story.claim(now=desk.now)
        return answer("late")

    done = await desk.model(FakeModel(replaced))
    assert isinstance(done, Recorded)
    assert (await desk.budget()).spent == cost(USED, MODEL, desk.now)


async def test_an_effects_charges_are_the_edges_and_never_its_askers(desk: Desk) -> None:
    forged = (Charge("run:r1:usd", RUN, 0),)
    await desk.model(FakeModel(answer("fine")), charges=forged, most=Amounts())
    (row,) = await desk.rows()
    assert row.reserved == worst(request())


# what costs other than the price list says ------------------------------------------


async def test_a_tool_with_a_price_is_reserved_and_settled_like_a_model_call(desk: Desk) -> None:
    price = Decimal("0.004")
    await desk.tool(FakeConnector(ToolResult("found")), price_usd=price)
    budget = await desk.budget()
    assert (budget.held, budget.spent, budget.unknown) == (0, pico(price), 0)
    (row,) = await desk.rows()
    assert (row.cost, row.list_cost, row.reserved, row.cost_status) == (
        pico(price), pico(price), pico(price), "priced",
    )  # fmt: skip
    assert row.price == {"per_call": "0.004", "price_book": "org.yaml"}


async def test_a_tool_whose_price_does_not_fit_is_refused_before_it_is_asked(desk: Desk) -> None:
    port = FakeConnector(ToolResult("found"))
    refused = await desk.tool(port, price_usd=Decimal("0.02"))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "cost"
    assert port.asked == []


async def test_a_tool_that_was_not_reached_costs_nothing_and_one_that_may_have_been_stays_counted(
    desk: Desk,
) -> None:
    price = Decimal("0.003")
    with pytest.raises(Unavailable):
        await desk.tool(FakeConnector(Unavailable("github", "down")), price_usd=price)
    assert (await desk.budget()).unknown == 0
    with pytest.raises(Unknown):
        await desk.tool(FakeConnector(Unknown("github", "lost")), 1, price_usd=price)
    budget = await desk.budget()
    assert (budget.held, budget.spent, budget.unknown) == (0, 0, pico(price))


async def test_a_price_nobody_declared_is_unknown_and_a_zero_somebody_wrote_is_zero(
    desk: Desk,
) -> None:
    await desk.tool(FakeConnector(ToolResult("a")))
    await desk.tool(FakeConnector(ToolResult("b")), 1, price_usd=Decimal(0))
    unsaid, free = await desk.rows()
    assert (unsaid.cost, unsaid.list_cost, unsaid.cost_status) == (None, None, "undeclared")
    assert (free.cost, free.list_cost, free.cost_status) == (0, 0, "free")


HALF = ModelTerms(model=MODEL, starts=date(1970, 1, 1), discount=Decimal("0.5"))
BOXES = SandboxRate(
    starts=date(1970, 1, 1), vcpu_second_usd=Decimal("0.0001"), gib_second_usd=Decimal("0.00002")
)


async def test_a_contract_is_what_is_reserved_and_charged_with_the_list_price_beside_it(
    desk: Desk,
) -> None:
    edge = replace(desk.edge, book=Book(Contract(models=(HALF,))))
    await edge.model(FakeModel(answer("fine")), request(), desk.intent(), timeout_s=9)
    (row,) = await desk.rows()
    listed = cost(USED, MODEL, desk.now)
    assert listed is not None
    assert row.list_cost == listed
    assert row.cost == -(-listed // 2)
    assert row.reserved == -(-worst(request()) // 2)
    assert (await desk.budget()).spent == row.cost
    assert "+contract@sha256:" in row.price["price_book"]
    assert Decimal(row.price["list"]["input"]) == Decimal(row.price["input"]) * 2


async def test_a_try_nobody_can_vouch_for_keeps_the_prices_it_was_reserved_at(desk: Desk) -> None:
    with pytest.raises(Unknown):
        await desk.model(FakeModel(Unknown("anthropic", "lost")))
    (row,) = await desk.rows()
    assert (row.status, row.cost) == ("unknown", None)
    assert row.price["price_book"].startswith("genai-prices==")


@pytest.mark.parametrize(("took_ms", "billed_ms"), [(1_500, 1_500), (90_000, 60_000)])
async def test_a_box_costs_its_size_for_as_long_as_it_took_and_never_more_than_was_reserved(
    desk: Desk, took_ms: int, billed_ms: int
) -> None:
    edge = replace(desk.edge, book=Book(Contract(sandbox=(BOXES,))))

    async def run() -> Settlement:
        desk.now += took_ms
        return Settlement(desk.now, {"text": "ok"}, 0, "free", {})

    box = BoxTime(cpus=1.0, memory_mb=512, limit_ms=60_000)
    await edge.local(desk.intent(kind="sandbox"), run, box=box)
    (row,) = await desk.rows()
    a_second = pico(Decimal("0.00011"))
    assert (row.cost, row.reserved) == (a_second * billed_ms // 1000, a_second * 60)
    budget = await desk.budget()
    assert (budget.held, budget.spent) == (0, row.cost)
