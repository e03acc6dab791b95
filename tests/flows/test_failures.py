"""What do the provider's silent failures come to, from the wire to the state a person sees?

Each of them passes the SDK's own reading or its own retries without a word (found with anthropic 2.12, seen on 2.8).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from governance.effects import NOT_BEFORE, Stop
from governance.parts import Json
from governance.records import ItemRow, LedgerRow
from tasks.perform import Pauses
from tests.flows.bench import Bench
from tests.flows.farside import until

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

LOOP = "ticket-triage"
STREAMED = {"max_output_tokens": 9000}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("failures")) as running:
        yield running


@pytest.fixture(autouse=True)
def at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.no_pauses(monkeypatch)


@dataclass
class Ended:
    """What a whole run came to, on our side and on the provider's."""

    state: Any
    item: ItemRow
    calls: list[LedgerRow]
    tries: int
    """As Prefect counts the first call's task run."""
    billed: int
    settled: int
    unknown: int
    unknown_steps: int
    seconds: float

    async def states(self, bench: Bench) -> list[Json]:
        """The states of the first call's task run, oldest first, as Prefect keeps them."""
        runs = bench.api.task_runs(str(self.item.flow_run))
        first = next(r for r in runs if r["name"] == "lead thinks (1)")

        def look() -> list[Json] | None:
            # States go to the server by its event queue, a moment after the fact.
            states = bench.api.task_run_states(first["id"])
            return states if states[-1]["type"] == "COMPLETED" else None

        return await until("the end of the task run", look)

    @property
    def statuses(self) -> list[str]:
        return [r.status for r in self.calls]

    def check_money(self) -> None:
        """The provider's bill is never below what we settled, nor above that and what we hold as unknown."""
        assert self.settled <= self.billed <= self.settled + self.unknown
        lost = [r for r in self.calls if r.status == "unknown"]
        assert self.unknown == sum(r.reserved for r in lost)
        assert self.unknown_steps == len(lost)
        assert all(r.cost is None for r in lost)


async def through(bench: Bench, name: str, *faults: Json, **harness: Any) -> Ended:
    """A heartbeat where all is well, and one item's work with these faults."""
    before = bench.bill()["cost_pico_usd"]
    await bench.begin(
        name, LOOP, find={"max_items": 1, "arguments": {"state": "all"}}, harness=harness
    )
    before = bench.bill()["cost_pico_usd"]
    _, run, items = await bench.heartbeat(LOOP)
    bench.faults(*faults)
    began = time.monotonic()
    state, item = await bench.work(items[0])
    took = time.monotonic() - began
    usd = await bench.store.budget(f"run:{run.run}:usd", run.run)
    steps = await bench.store.budget(f"item:{item.item}:steps", run.run)
    assert usd is not None
    assert steps is not None
    assert usd.held == 0
    assert steps.held == 0
    runs = bench.api.task_runs(str(item.flow_run))
    first = next(r for r in runs if r["name"] == "lead thinks (1)")
    return Ended(
        state=state, item=item, calls=[r for r in await bench.ledger(item, "model") if r.place.step == 0],
        tries=first["run_count"], billed=bench.bill()["cost_pico_usd"] - before, settled=usd.spent,
        unknown=usd.unknown, unknown_steps=steps.unknown, seconds=took,
    )  # fmt: skip


UNTRUSTWORTHY: dict[str, tuple[Json, Json]] = {
    "a stream that ends without its end": ({"kind": "truncated"}, STREAMED),
    "a body cut in half": ({"kind": "truncated"}, {}),
    "a web page with status 200": ({"kind": "html"}, {}),
    "a web page where a stream was asked for": ({"kind": "html"}, STREAMED),
    "an answer without usage": ({"kind": "no_usage"}, {}),
    "a stream without usage": ({"kind": "no_usage"}, STREAMED),
    "malformed json": ({"kind": "malformed"}, {}),
    "malformed json in a stream": ({"kind": "malformed"}, STREAMED),
    "a gateway that gave up waiting": ({"kind": "status", "status": 504}, {}),
}


@pytest.mark.parametrize("case", UNTRUSTWORTHY)
async def test_an_answer_nobody_can_trust_is_asked_again_and_both_are_paid(
    bench: Bench, case: str
) -> None:
    fault, harness = UNTRUSTWORTHY[case]
    ended = await through(bench, case.replace(" ", "-"), fault, **harness)
    assert ended.item.status == "done"
    assert ended.state.is_completed()
    assert ended.statuses == ["unknown", "done"]
    assert [r.attempt for r in ended.calls] == [1, 2]
    assert ended.tries == 2
    ended.check_money()
    assert ended.unknown > 0
    assert ended.calls[0].error == "unknown"
    assert ended.calls[0].attributes["error.message"]
    trace = await bench.loops("trace", ended.item.item)
    told = [t["status"] for lane in trace["lanes"] for e in lane["effects"] for t in e["tries"]]
    assert told[:2] == ["unknown", "done"]


async def test_an_error_in_mid_stream_is_no_answer(bench: Bench) -> None:
    fault = {"kind": "stream_error", "error": "overloaded_error", "message": "we are full"}
    ended = await through(bench, "mid-stream", fault, **STREAMED)
    assert ended.item.status == "done"
    assert ended.statuses == ["unknown", "done"]
    assert "we are full" in ended.calls[0].attributes["error.message"]
    ended.check_money()


async def test_an_answer_that_never_comes_is_given_up_and_stays_counted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.model.MODEL_TIMEOUT_S", 2.0)
    ended = await through(bench, "hang", {"kind": "hang"})
    assert ended.item.status == "done"
    assert ended.statuses == ["unknown", "done"]
    ended.check_money()


async def test_five_answers_nobody_can_trust_end_the_item_with_all_of_them_counted(
    bench: Bench,
) -> None:
    ended = await through(bench, "five", {"kind": "no_usage", "times": 5})
    assert ended.item.status == "stopped"
    assert ended.item.stop is not None
    assert ended.item.stop.reason == "malformed"
    assert "may be billed" in ended.item.stop.detail
    assert ended.state.name == "Malformed"
    assert ended.statuses == ["unknown"] * 5
    assert ended.tries == 5
    ended.check_money()


async def test_unknown_tries_count_against_the_caps(bench: Bench) -> None:
    """A provider that loses every answer cannot make a loop pay for more than its cap."""
    ended = await through(bench, "capped", {"kind": "no_usage", "times": 5}, max_steps=2)
    assert ended.item.stop is not None
    assert ended.item.stop.reason == "steps"
    assert "2 unknown" in ended.item.stop.detail
    assert ended.statuses == ["unknown", "unknown"]
    ended.check_money()


TURNED_AWAY: dict[str, Json] = {
    "too many requests": {
        "status": 429, "error": "rate_limit_error", "headers": {"retry-after": "1"},
    },
    "overloaded": {"status": 529, "error": "overloaded_error"},
    "an internal error": {"status": 500, "error": "api_error"},
    "a conflict": {"status": 409, "error": "api_error", "headers": {"x-should-retry": "false"}},
}  # fmt: skip


@pytest.mark.parametrize("case", TURNED_AWAY)
async def test_a_call_that_is_turned_away_costs_nothing_and_is_made_again(
    bench: Bench, case: str
) -> None:
    fault = {"kind": "status", "times": 2, **TURNED_AWAY[case]}
    ended = await through(bench, case.replace(" ", "-"), fault)
    assert ended.item.status == "done"
    assert ended.statuses == ["failed", "failed", "done"]
    assert [r.cost for r in ended.calls[:2]] == [0, 0]
    assert ended.tries == 3
    assert ended.unknown == 0
    assert ended.billed == ended.settled, "to the pico"


async def test_no_try_is_sent_before_the_moment_the_far_side_named_and_prefect_shows_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.model._call_model.retry_delay_seconds", Pauses((0, 0, 0, 0)))
    fault = {
        "kind": "status", "status": 429, "error": "rate_limit_error", "times": 2,
        "headers": {"retry-after": "3"},
    }  # fmt: skip
    ended = await through(bench, "named", fault)
    assert ended.item.status == "done"
    assert ended.statuses == ["failed", "failed", "done"]
    for before, after in pairwise(ended.calls):
        assert before.ended_at is not None
        assert before.attributes[NOT_BEFORE] == before.ended_at + 3000
        assert after.started_at >= before.ended_at + 3000
    waited = [s for s in await ended.states(bench) if s["name"] == "AwaitingRetry"]
    assert len(waited) == 2
    for state, call in zip(waited, ended.calls, strict=False):
        due = datetime.fromisoformat(state["state_details"]["scheduled_time"])
        assert abs(due.timestamp() * 1000 - call.attributes[NOT_BEFORE]) < 1000
    assert ended.billed == ended.settled


async def test_nobody_waits_a_hundred_years_because_a_server_says_so(bench: Bench) -> None:
    fault = {
        "kind": "status", "status": 429, "error": "rate_limit_error", "times": 9,
        "headers": {"retry-after": "4000000000"},
    }  # fmt: skip
    ended = await through(bench, "hostile", fault)
    assert ended.seconds < 60
    assert ended.statuses == ["failed"]
    assert isinstance(ended.item.stop, Stop)
    assert ended.item.stop.reason == "unavailable"
    assert ended.state.name == "Unavailable"
    assert ended.billed == ended.settled


async def test_an_exhausted_spend_limit_is_not_tried_again(bench: Bench) -> None:
    fault = {
        "kind": "status", "status": 429, "error": "rate_limit_error", "times": 9,
        "error_code": "enforced_spend_limit_reached",
    }  # fmt: skip
    ended = await through(bench, "spent", fault)
    assert ended.statuses == ["failed"]
    assert ended.item.stop is not None
    assert "enforced_spend_limit_reached" in ended.item.stop.detail
    assert ended.tries == 1


@pytest.mark.parametrize(("stop", "reason"), [("refusal", "refusal"), ("max_tokens", "truncated")])
async def test_a_refusal_and_a_cut_are_answers_and_are_paid(
    bench: Bench, stop: str, reason: str
) -> None:
    ended = await through(bench, f"answer-{stop}", {"kind": "stop", "stop": stop})
    assert ended.item.stop is not None
    assert ended.item.stop.reason == reason
    assert ended.statuses == ["done"]
    assert ended.billed == ended.settled > 0


async def test_a_block_nobody_knows_is_kept_and_sent_back_as_it_was(bench: Bench) -> None:
    ended = await through(bench, "odd", {"kind": "odd_block"})
    assert ended.item.status == "done"
    assert ended.billed == ended.settled
    again = bench.requests()[-1]["body"]["messages"][1]["content"]
    assert {"type": "hologram", "data": [1, 2]} in again
