"""Which heartbeat is this, and what did it find?"""

import pytest

from drivers.store.store import SqlStore
from governance.errors import StoreError
from governance.records import Budget, Finding
from tests.drivers.store.story import LOOP, RUN, Story, finding


async def _open(store: SqlStore, run: str, flow_run: str, cap: int = 10) -> object:
    return await store.open_run(
        run,
        loop=LOOP,
        slot="06:00",
        flow_run=flow_run,
        definition="sha256:d",
        budgets=(Budget("run:r1:usd", RUN, cap),),
        now=5,
    )


async def test_a_replayed_heartbeat_finds_its_own_run(store: SqlStore) -> None:
    first = await _open(store, "r1", "flow-a")
    again = await _open(store, "r1", "flow-a")
    assert first == again


async def test_a_second_heartbeat_of_the_same_slot_sees_that_another_was_first(
    store: SqlStore,
) -> None:
    await _open(store, "r1", "flow-a")
    duplicate = await _open(store, "r2", "flow-b")
    assert (duplicate.run, duplicate.flow_run) == ("r1", "flow-a")
    assert await store.run("r2") is None


async def test_budgets_of_a_run_are_put_in_place_once(store: SqlStore) -> None:
    await _open(store, "r1", "flow-a", cap=10)
    await _open(store, "r1", "flow-a", cap=99)
    assert await store.budget("run:r1:usd", RUN) == Budget("run:r1:usd", RUN, 10)


async def test_a_budget_that_counts_in_an_unknown_unit_is_refused_where_it_is_made(
    store: SqlStore,
) -> None:
    with pytest.raises(StoreError) as told:
        await store.open_run(
            "r1",
            loop=LOOP,
            slot="1",
            flow_run="f",
            definition="d",
            budgets=(Budget("run:r1:euro", RUN, 1),),
            now=1,
        )
    assert str(told.value) == (
        "budget 'run:r1:euro' counts in 'euro'. A budget's name ends in one of :steps, :tokens, :usd."
    )
    assert await store.run("r1") is None


async def test_found_items_and_their_dispatch_commit_together(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    items = await story.find("test_b", "test_a")
    assert [i.finding.dedupe for i in items] == ["test_b", "test_a"]
    assert [i.item for i in items] == [finding("test_b")[0], finding("test_a")[0]]
    sent = await store.outbox()
    assert [(o.kind, o.key, o.payload) for o in sent] == [
        (
            "dispatch",
            f"triage-{i.item}-0",
            {"loop": LOOP, "item": i.item, "run": RUN, "title": i.finding.title},
        )
        for i in items
    ]
    run = await store.run(RUN)
    assert run is not None
    assert (run.status, run.open_items, run.summary) == ("open", 2, "2 found")
    page = await store.state(LOOP)
    assert page is not None
    assert (page.version, page.body, page.by) == (1, "# state", "run r1")


async def test_reporting_what_was_found_twice_adds_nothing(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    first = await story.find("test_a")
    again = await story.find("test_a", "test_b", now=9999)
    assert first == again
    assert len(await store.outbox()) == 1
    page = await store.state(LOOP)
    assert page is not None
    assert page.version == 1


async def test_a_finding_that_is_still_open_is_not_found_again(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    await story.find("test_a")
    await story.open_run("r2", "07:00")
    items = await story.find("test_a", "test_b", run="r2")
    assert [i.finding.dedupe for i in items] == ["test_b"]


async def test_the_same_finding_twice_in_one_heartbeat_is_one_item(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    assert len(await story.find("test_a", "test_a")) == 1
    assert len(await store.outbox()) == 1


async def test_a_finding_that_was_closed_may_be_found_again_tomorrow(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    (item,) = await story.find("test_a")
    await story.claim(item.item)
    await store.close(
        item.item, fence=1, status="done", outcome={}, stop=None, state="# s", seen=1, now=9
    )
    await story.open_run("r2", "07:00")
    (again,) = await story.find("test_a", run="r2")
    assert again.item != item.item


async def test_a_run_that_finds_nothing_closes_right_away(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    assert await story.find(now=1234) == ()
    run = await store.run(RUN)
    assert run is not None
    assert (run.status, run.closed_at) == ("closed", 1234)
    (notice,) = await store.outbox()
    assert (notice.kind, notice.payload) == ("notice", {"kind": "run_closed", "run": RUN})


async def test_budget_templates_are_filled_in_for_each_item(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    items = await story.find("a", "b", budgets=(Budget("item:{item}:steps", "{item}", 60),))
    for item in items:
        name = f"item:{item.item}:steps"
        assert await store.budget(name, item.item) == Budget(name, item.item, 60)


async def test_an_item_under_a_foreign_name_is_refused(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run()
    with pytest.raises(
        StoreError, match="came as item 'i0'; an item is named by loop, dedupe key and run"
    ):
        await store.found(
            RUN,
            (("i0", Finding("a", "t", "b")),),
            definition="d",
            budgets=(),
            state=None,
            summary="",
            now=1,
        )
    run = await store.run(RUN)
    assert run is not None
    assert run.summary is None


async def test_runs_and_items_are_listed_newest_first(store: SqlStore) -> None:
    story = Story(store)
    await story.open_run("r1", "06:00", now=10)
    await story.open_run("r2", "07:00", now=20)
    await story.find("a", run="r1", now=11)
    await story.find("b", run="r2", now=21)
    assert [r.run for r in await store.runs()] == ["r2", "r1"]
    assert [r.run for r in await store.runs(loop=LOOP, limit=1)] == ["r2"]
    assert await store.runs(loop="other") == ()
    assert [i.run for i in await store.items(loop=LOOP)] == ["r2", "r1"]
    assert [i.run for i in await store.items(run="r1", open_only=True)] == ["r1"]
