"""Is a conversation's past paid once, kept short, disclosed step by step, and the same after every wait?"""

from collections.abc import Iterator
from typing import Any

import pytest

from governance.records import ItemRow
from tests.flows.bench import Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

LOOP = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
ASKS: dict[str, Any] = {
    "harness": {"max_steps": 60, "approvals": {"linear.label_ticket": "pause_for_human"}}
}
SMALL: dict[str, Any] = {"models": {"claude-sonnet-4-6": {"context_tokens": 4000}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("context")) as running:
        yield running


async def found(bench: Bench) -> ItemRow:
    _, _, items = await bench.heartbeat(LOOP)
    assert len(items) == 1
    return items[0]


async def answered(bench: Bench, item: ItemRow, answer: str = "approve") -> None:
    (card,) = await bench.store.cards(item=item.item)
    form = {f"card_{card.card}": answer, "approver": "noor", "reason": "go on"}
    assert bench.api.resume(str(item.flow_run), form)["status"] == "ACCEPT"


async def test_a_cached_prefix_is_billed_as_cached_to_the_pico(bench: Bench) -> None:
    await bench.begin(
        "cached", LOOP, **ONE, harness={"max_steps": 60}, play={"tickets/v1": "read-on"}
    )
    before = bench.bill()["cost_pico_usd"]
    state, item = await bench.work(await found(bench))
    assert state.is_completed()
    calls = await bench.ledger(item, "model")
    assert len(calls) == 9
    read = [r.usage.cache_read_tokens for r in calls]
    assert read[0] == 0
    assert read[-1] > calls[-1].usage.input_tokens / 2
    assert read[-3:] == sorted(read[-3:])
    rows = await bench.store.ledger(run=item.run)
    assert sum(r.cost or 0 for r in rows) == bench.bill()["cost_pico_usd"] - before
    full = sum(r.usage.input_tokens * 3_000_000 + r.usage.output_tokens * 15_000_000 for r in calls)
    assert sum(r.cost or 0 for r in calls) < full, "less than without a cache"


async def test_a_full_context_is_compacted_by_a_call_of_its_own_and_replays_alike(
    bench: Bench,
) -> None:
    await bench.begin(
        "compacted",
        LOOP,
        **ONE,
        organisation=SMALL,
        harness={**ASKS["harness"], "max_output_tokens": 1000},
        play={"tickets/v1": "compact-and-ask"},
    )
    before = bench.bill()["cost_pico_usd"]
    state, item = await bench.work(await found(bench))
    assert state.is_paused(), item.stop
    first = await bench.ledger(item)
    entries = await bench.store.entries(item.item)
    (compaction,) = [e for e in entries if e.args == {"purpose": "compact"}]
    (row,) = [r for r in first if r.key == compaction.key]
    assert (row.kind, row.status) == ("model", "done")
    assert row.attributes["gen_ai.conversation.compacted"] is True
    assert (row.cost or 0) > 0
    bodies = [r["body"] for r in bench.requests() if r["body"]["max_tokens"] == 1000]
    long, short = bodies[-2]["messages"], bodies[-1]["messages"]
    assert "context is nearly full" in long[-1]["content"][-1]["text"]
    assert len(long) > 5
    assert len(short) == 1, "the brief and the summary, and nothing else"
    assert "What I did and found" in short[0]["content"][1]["text"]
    assert short[0]["content"][0]["text"] == long[0]["content"][0]["text"]

    await answered(bench, item)
    state, item = await bench.work(item)
    assert item.status == "done", item.stop
    after = await bench.ledger(item)
    assert after[: len(first)] == first, "nothing that was done before was done or changed again"
    assert item.life == 1
    runs = [r["name"] for r in bench.api.task_runs(str(item.flow_run))]
    thought = [n for n in runs if " thinks " in n]
    assert len(thought) == len(set(thought)), "what is on record is not told to Prefect again"
    rows = await bench.store.ledger(run=item.run)
    assert sum(r.cost or 0 for r in rows) == bench.bill()["cost_pico_usd"] - before


async def test_a_summary_that_says_nothing_ends_the_item_instead_of_forgetting(
    bench: Bench,
) -> None:
    await bench.begin("forget", LOOP, **ONE, organisation=SMALL, play={"tickets/v1": "forget"},
                      harness={"max_steps": 20, "max_output_tokens": 1000})  # fmt: skip
    state, item = await bench.work(await found(bench))
    assert item.stop is not None
    assert (item.stop.reason, state.name) == ("malformed", "Malformed")
    assert "summary" in item.stop.detail
    assert len(await bench.ledger(item, "model")) < 20


async def test_calls_of_one_answer_converge_whatever_waits(bench: Bench) -> None:
    await bench.begin("at-once", LOOP, **ONE, **ASKS, play={"tickets/v1": "at-once"})
    state, item = await bench.work(await found(bench))
    assert state.is_paused()
    done = [r for r in await bench.ledger(item, "tool")]
    assert sorted(r.place.ordinal for r in done) == [1, 3], "those that need nobody went first"
    asked = len(bench.requests())
    await answered(bench, item)
    state, item = await bench.work(item)
    assert item.status == "done", item.stop
    tools = await bench.ledger(item, "tool")
    assert [(r.place.ordinal, r.attempt, r.status) for r in sorted(tools, key=lambda r: r.place.ordinal)] == [
        (1, 1, "done"), (2, 1, "done"), (3, 1, "done"),
    ]  # fmt: skip
    last = bench.requests()[-1]["body"]["messages"]
    assert len(bench.requests()) == asked + 1
    wanted = [b["id"] for b in last[-2]["content"] if b["type"] == "tool_use"]
    results = last[-1]["content"]
    assert [b["tool_use_id"] for b in results] == wanted
    texts = [b["content"][0]["text"] for b in results]
    assert "NW-101" in texts[0]
    assert "NW-102" in texts[2]
    assert not any(b["is_error"] for b in results)


async def test_a_call_that_a_person_rejects_is_answered_as_refused_beside_the_others(
    bench: Bench,
) -> None:
    await bench.begin("at-once-no", LOOP, **ONE, **ASKS, play={"tickets/v1": "at-once"})
    _, item = await bench.work(await found(bench))
    await answered(bench, item, "reject")
    _, item = await bench.work(item)
    assert item.stop is not None
    assert item.stop.reason == "rejected", "and the item never counts as done"
    results = bench.requests()[-1]["body"]["messages"][-1]["content"]
    assert [b["is_error"] for b in results] == [False, True, False]
    assert "rejected by claimed: noor" in results[1]["content"][0]["text"]
    assert sorted(r.place.ordinal for r in await bench.ledger(item, "tool")) == [1, 3]


async def test_a_skill_is_in_no_request_before_it_was_read(bench: Bench) -> None:
    await bench.begin(
        "skills", LOOP, **ONE, skills=["ci-triage-runbook@v2"], play={"tickets/v1": "learn"}
    )
    item = await found(bench)
    asked = len(bench.requests())
    state, item = await bench.work(item)
    assert state.is_completed()
    bodies = [str(r["body"]) for r in bench.requests()[asked:]]
    words = "Read the log from the top"
    about = "tell a bug from a flaky test"
    assert [words in b for b in bodies] == [False, False, True]
    assert all(about in b for b in bodies), "its description is there from the first"
    names = [e.name for e in await bench.store.entries(item.item) if e.kind == "tool"]
    assert names == ["linear.get_ticket", "skill.read"]
    assert [r.name for r in await bench.ledger(item, "tool")] == ["linear.get_ticket"], (
        "reading costs nothing"
    )
