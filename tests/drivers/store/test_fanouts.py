"""Is what a heartbeat hands out priced before it goes, kept back above a rule, and let go by a person alone?"""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.store.connection import SqliteSql
from drivers.store.fanouts import past_costs
from drivers.store.restored import mark
from drivers.store.store import SqlStore
from governance.budgets import FanOutRule
from governance.charges import Amounts
from governance.effects import Refused, Stop
from governance.fanout import Answering, Ceiling, Excess, FanOut, NotAnswered, Price
from governance.parts import PICO
from governance.records import ItemRow
from tests.drivers.store.story import FLOW, LOOP, Story, finding, settled

CEILINGS = (Ceiling("harness.max_cost_usd_per_run", 20 * PICO),)
ALLOW = Answering("r9", "allow", "claimed: noor", "release night")
DISCARD = Answering("r9", "discard", "claimed: noor", "nonsense")


@pytest.fixture
async def story(store: SqlStore) -> Story:
    return Story(store)


async def in_force(story: Story, *told: dict[str, Any]) -> None:
    rules = tuple(FanOutRule.model_validate(one) for one in told)
    await story.store.put_rules((), rules, by="claimed: noor", now=1)


async def ended(
    story: Story, *costs: int | None, run: str = "r0", now: int = 5000, **how: Any
) -> None:
    """A run whose items ended at these costs; None for an item that nothing was asked for."""
    await story.open_run(run, run)
    items = await story.find(*(f"{run}-{n}" for n in range(len(costs))), run=run)
    for item, cost in zip(items, costs, strict=True):
        await story.claim(item.item, flow_run=f"f-{item.item}")
        if cost is not None:
            await paid(story, cost, **how)
        await closed(story, now)


async def paid(story: Story, cost: int, *, status: str = "priced", lost: bool = False) -> None:
    """A call of the item at hand that came to this, or was lost with that much held."""
    got = await story.admit(0, kind="model", name="m", most=Amounts(usd=cost))
    if lost:
        await story.store.fail(
            story.place(0), got.attempt, status="unknown", error="gone", attributes={}, now=3400
        )
        return
    unpriced = status == "unpriced"
    done = settled(cost=None if unpriced else cost)
    await story.store.done(story.place(0), got.attempt, replace(done, cost_status=status))


async def closed(story: Story, now: int) -> None:
    await story.store.close(
        story.item, fence=story.fence, status="done", outcome={}, stop=None, state="# page", now=now,
        seen=await story.seen(),
    )  # fmt: skip


async def launched(story: Story, many: int, *, run: str = "r9", **more: Any) -> tuple[ItemRow, ...]:
    """A heartbeat that finds so many, none of them known."""
    await story.open_run(run, run, now=6000)
    told = {"owner": "noor", "team": "platform", "ceilings": CEILINGS, **more}
    return await story.store.found(
        run, tuple(finding(f"{run}-{n}", run) for n in range(many)), definition="sha256:d", budgets=(),
        state=None, summary=f"{many} found", now=6100, **told,
    )  # fmt: skip


async def on_record(story: Story, run: str = "r9") -> FanOut:
    found = await story.store.fan_out(run)
    assert found is not None
    return found


async def dispatched(story: Story, items: tuple[ItemRow, ...]) -> list[str]:
    ours = {i.item for i in items}
    return [
        o.key
        for o in await story.store.outbox(1000)
        if o.kind == "dispatch" and o.payload["item"] in ours
    ]


async def test_it_is_priced_by_what_items_of_the_loop_cost_lately(story: Story) -> None:
    await ended(story, *(n * PICO for n in (1, 1, 1, 1, 6)))
    items = await launched(story, 3)
    told = await on_record(story)
    assert told.price == Price(3, 6 * PICO, 2 * PICO, 5)
    assert told.told == (
        "3 items × 2.0000 USD expected (mean of the last 5 items) = 6.0000 USD; no rule limits it"
    )
    assert told.standing == "allowed"
    assert len(await dispatched(story, items)) == 3


async def test_with_too_few_ended_items_it_is_priced_by_the_limits(story: Story) -> None:
    await ended(story, *[PICO] * 4)
    await launched(story, 3)
    told = await on_record(story)
    assert told.price == Price(3, 20 * PICO, None, 4, "harness.max_cost_usd_per_run")
    assert "3 items for at most 20.0000 USD (harness.max_cost_usd_per_run; 4 items of" in told.told


async def test_the_last_fifty_count_and_none_of_another_loop(story: Story) -> None:
    await ended(story, *[9 * PICO] * 5)
    await ended(story, *[PICO] * 50, run="r0-later", now=5001)
    await launched(story, 1)
    assert (await on_record(story)).price == Price(1, PICO, PICO, 50)
    await story.store.open_run(
        "r8", loop="other", slot="r8", flow_run="f8", definition="sha256:d", budgets=(), now=6000
    )
    await story.store.found(
        "r8", (finding("a", "r8", "other"),), definition="sha256:d", budgets=(), state=None,
        summary="", now=6000,
    )  # fmt: skip
    assert (await on_record(story, "r8")).price == Price(1, None, None, 0)


async def test_unknown_counts_with_all_it_may_be(story: Story) -> None:
    await ended(story, *[PICO] * 4)
    await ended(story, 6 * PICO, run="r0-lost", lost=True)
    await launched(story, 1)
    assert (await on_record(story)).price == Price(1, 2 * PICO, 2 * PICO, 5)


async def test_an_item_whose_cost_nobody_can_say_is_no_item_that_cost_nothing(story: Story) -> None:
    await ended(story, *[PICO] * 4)
    await ended(story, 0, run="r0-b", status="unpriced")
    await ended(story, 0, run="r0-c", lost=True)
    await ended(story, None, run="r0-d")
    await launched(story, 1, ceilings=())
    told = await on_record(story)
    assert (told.price.usd, told.price.past) == (None, 4)
    assert "of a cost that nobody can say" in told.told


async def test_what_nothing_was_asked_for_is_no_past_and_takes_nobodys_place(story: Story) -> None:
    await ended(story, *[PICO] * 5)
    await in_force(story, {"name": "few", "items": 1})
    await launched(story, 60)
    await story.store.answer_fan_out(DISCARD, now=7000)
    await launched(story, 1, run="r10")
    assert (await on_record(story, "r10")).price == Price(1, PICO, PICO, 5)


async def test_above_a_rule_nothing_is_dispatched_and_the_findings_are_in_the_inbox(
    story: Story,
) -> None:
    await ended(story, *[2 * PICO] * 5)
    await in_force(story, {"name": "at-once", "usd": 5})
    items = await launched(story, 3)
    assert [i.status for i in items] == ["kept_back"] * 3
    assert await dispatched(story, items) == []
    told = await on_record(story)
    assert (told.standing, told.refused_by) == (
        "kept back",
        (Excess("at-once", "usd", 5 * PICO),),
    )
    stop = items[0].stop
    assert stop is not None
    assert stop.reason == "fan_out"
    assert (
        "3 items × 2.0000 USD expected (mean of the last 5 items) = 6.0000 USD, above the 5 USD of rule 'at-once'"
        in stop.detail
    )
    assert "`loops fanout allow r9`" in stop.detail
    run = await story.store.run("r9")
    assert run is not None
    assert (run.status, run.open_items, run.stop) == ("open", 3, None)
    page = await story.store.state(LOOP)
    assert page is not None
    assert "## Kept back\n- The fan-out is kept back: 3 items" in page.body
    assert page.body.count("kept back") == 1 + 3


async def test_nobody_takes_up_an_item_that_is_kept_back(story: Story) -> None:
    await in_force(story, {"name": "few", "items": 1})
    item, _ = await launched(story, 2)
    refused = await story.claim(item.item)
    assert isinstance(refused, Refused)
    assert refused.stop == item.stop
    story.item, story.fence = item.item, item.fence
    late = await story.store.intend(story.intent())
    assert isinstance(late, Refused)
    assert late.stop == item.stop
    assert await story.store.ledger(item=item.item) == ()
    assert await story.store.handed_out() == ()


async def test_people_are_told_once_and_a_later_life_of_the_heartbeat_finds_the_verdict(
    story: Story,
) -> None:
    await in_force(story, {"name": "few", "items": 1})
    first = await launched(story, 2)
    await in_force(story)
    assert await launched(story, 2) == first, "what the rules say by now changes nothing"
    notices = [o for o in await story.store.outbox() if o.kind == "notice"]
    assert [(o.key, o.payload["kind"]) for o in notices] == [("fan-out-r9", "fan_out")]
    assert notices[0].payload["items"] == 2


async def test_every_rule_that_matches_must_let_it_go_and_no_other_counts(story: Story) -> None:
    await in_force(
        story, {"name": "b", "items": 2, "team": "plat*"}, {"name": "a", "usd": 19, "user": "noor"},
        {"name": "theirs", "items": 1, "loop": "other"}, {"name": "wide", "usd": 20},
    )  # fmt: skip
    await launched(story, 3)
    assert [e.rule for e in (await on_record(story)).refused_by] == ["a", "b"]
    await launched(story, 2, run="r10", ceilings=())
    assert [e.rule for e in (await on_record(story, "r10")).refused_by] == ["a", "wide"], (
        "what nobody can say is above every limit in USD"
    )


async def test_let_go_it_is_dispatched_whole_and_who_said_so_and_why_is_on_record(
    story: Story,
) -> None:
    await in_force(story, {"name": "few", "items": 1})
    items = await launched(story, 2)
    got = await story.store.answer_fan_out(ALLOW, now=7000)
    assert isinstance(got, FanOut)
    assert (got.standing, got.by, got.why, got.answered_at) == (
        "let go", ALLOW.by, ALLOW.why, 7000,
    )  # fmt: skip
    after = await story.store.items(run="r9")
    assert [(i.status, i.stop, i.flow_run) for i in after] == [("found", None, None)] * 2
    assert len(await dispatched(story, items)) == 2
    (line, *_) = await story.store.audit()
    assert (line["who"], line["what"], line["subject"]) == (ALLOW.by, "fan-out allowed", "r9")
    assert line["detail"].endswith("above the 1 items of rule 'few': release night")
    page = await story.store.state(LOOP)
    assert page is not None
    assert "kept back" not in page.body
    story.item = items[0].item
    await story.claim(flow_run=FLOW)
    await story.admit()


async def test_discarded_its_items_end_and_with_them_the_run(story: Story) -> None:
    await in_force(story, {"name": "few", "items": 1})
    items = await launched(story, 2)
    got = await story.store.answer_fan_out(DISCARD, now=7000)
    assert isinstance(got, FanOut)
    assert got.standing == "discarded"
    after = await story.store.items(run="r9")
    said = Stop("rejected", "claimed: noor discarded its fan-out: nonsense")
    assert [(i.status, i.stop, i.closed_at) for i in after] == [("stopped", said, 7000)] * 2
    assert await dispatched(story, items) == []
    run = await story.store.run("r9")
    assert run is not None
    assert (run.status, run.open_items) == ("closed", 0)
    again = await launched(story, 2, run="r10", ceilings=())
    assert len(again) == 2, "the same may be found again"


async def test_the_first_word_counts(story: Story) -> None:
    await in_force(story, {"name": "few", "items": 1})
    await launched(story, 2)
    await launched(story, 1, run="r10")
    await story.store.answer_fan_out(ALLOW, now=7000)
    before = await story.store.audit()
    for wanted, why in (
        (DISCARD, "was let go before, by claimed: noor: release night"),
        (Answering("r10", "allow", "x", "y"), "was allowed by the rules"),
        (Answering("r77", "allow", "x", "y"), "`loops fanout list`"),
    ):
        got = await story.store.answer_fan_out(wanted, now=8000)
        assert isinstance(got, NotAnswered)
        assert why in got.why
    assert await story.store.audit() == before


async def test_only_what_waits_is_listed_as_kept_back(story: Story) -> None:
    await in_force(story, {"name": "few", "items": 1})
    for run in ("r9", "r10"):
        await launched(story, 2, run=run)
    await story.store.answer_fan_out(ALLOW, now=7000)
    assert [f.run for f in await story.store.fan_outs(kept_back=True)] == ["r10"]
    assert {f.run for f in await story.store.fan_outs()} == {"r9", "r10"}


async def test_what_is_found_again_while_it_is_kept_back_is_no_second_item(story: Story) -> None:
    await in_force(story, {"name": "few", "items": 1})
    await launched(story, 2)
    await story.open_run("r10", "r10", now=6500)
    assert await story.find("r9-0", "r9-1", run="r10") == ()
    assert await story.store.fan_out("r10") is None, "a heartbeat that found nothing new has none"


async def test_a_restored_store_hands_out_nothing_that_was_kept_back_and_asks_again(
    story: Story,
) -> None:
    """It may have been let go after the backup: Prefect knows that dispatch, and its process may still live."""
    await in_force(story, {"name": "few", "items": 1})
    items = await launched(story, 2)
    marked = await story.store.write(
        lambda sql: mark(sql, taken_at=6500, by="noor", now=6600), "restored"
    )
    assert set(marked.items) == {i.item for i in items}
    assert await dispatched(story, items) == []
    assert [f.run for f in await story.store.fan_outs(kept_back=True)] == ["r9"]
    await story.store.answer_fan_out(ALLOW, now=7000)
    for item, after in zip(items, await story.store.items(run="r9"), strict=True):
        assert after.fence > item.fence, (
            "whoever took it up in the lost history starts nothing more"
        )
    assert len(await dispatched(story, items)) == 2


async def test_rules_are_put_in_force_with_an_audit_and_applying_them_again_changes_nothing(
    story: Story,
) -> None:
    await in_force(story, {"name": "a", "usd": 5}, {"name": "b", "items": 2})
    before = await story.store.audit()
    await in_force(story, {"name": "a", "usd": 5}, {"name": "b", "items": 2})
    assert await story.store.audit() == before
    await in_force(story, {"name": "a", "usd": 6})
    told = [(row["what"], row["subject"]) for row in reversed(await story.store.audit())]
    assert told == [
        ("fan-out rule in force", "a"), ("fan-out rule in force", "b"), ("fan-out rule gone", "b"),
        ("fan-out rule in force", "a"),
    ]  # fmt: skip
    (found,) = await story.store.fan_out_rules()
    assert (found.rule.limit, found.since, found.by) == (6 * PICO, 1, "claimed: noor")


@pytest.mark.parametrize("home", ["sqlite"], indirect=True)
async def test_what_the_past_cost_is_looked_up_and_no_table_gone_over(
    story: Story, tmp_path: Path
) -> None:
    """Asked of the planner: it is looked up in the transaction that others wait for."""
    await ended(story, PICO)
    with sqlite3.connect(tmp_path / "store.db") as db:
        seen: list[tuple[str, dict[str, Any]]] = []

        class Explained(SqliteSql):
            def all(self, statement: str, /, **values: Any) -> Any:
                seen.append((statement, values))
                return super().all(statement, **values)

        assert past_costs(Explained(db), LOOP) == (PICO,)
        ((statement, values),) = seen
        asked = SqliteSql(db).all(f"EXPLAIN QUERY PLAN {statement}", **values)
        plan = [row["detail"] for row in asked]
    db.close()
    assert [p for p in plan if "SCAN" in p or "TEMP B-TREE" in p] == []
    assert any("items_closed" in p for p in plan)
