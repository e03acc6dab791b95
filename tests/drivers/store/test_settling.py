"""What really happened?"""

from dataclasses import replace

import pytest

from governance.charges import Charge
from governance.effects import Evidence, Recorded
from governance.errors import StoreError
from governance.records import Budget
from tests.drivers.store.story import HEAD, RUN, TREE, Story, settled, usd


async def _usd(story: Story) -> Budget:
    budget = await story.store.budget("run:r1:usd", RUN)
    assert budget is not None
    return budget


async def test_settling_releases_the_hold_and_books_what_it_cost(story: Story) -> None:
    await story.admit(0, usd(40), Charge("run:r1:tokens", RUN, 30))
    await story.store.done(story.place(0), 1, settled(usd(7), cost=7))
    assert await _usd(story) == Budget("run:r1:usd", RUN, 100, spent=7)
    tokens = await story.store.budget("run:r1:tokens", RUN)
    assert tokens == Budget("run:r1:tokens", RUN, 50)


async def test_what_cost_more_than_was_held_is_booked_as_it_was(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.store.done(story.place(0), 1, settled(usd(140), cost=140))
    assert await _usd(story) == Budget("run:r1:usd", RUN, 100, spent=140)


async def test_a_settled_effect_is_on_the_ledger_with_everything_known_about_it(
    story: Story,
) -> None:
    await story.admit(0, usd(40), attributes={"asked": 1})
    await story.store.done(
        story.place(0),
        1,
        settled(
            usd(7), cost=7, response_model="m-1", attributes={"answered": 2}, error="tool_error"
        ),
    )
    (row,) = await story.store.ledger(item=story.item)
    assert (row.seq, row.status, row.cost, row.cost_status, row.price) == (
        1,
        "done",
        7,
        "priced",
        {"book": "p"},
    )
    assert (row.usage.total, row.response_model, row.error) == (15, "m-1", "tool_error")
    assert (row.started_at, row.ended_at, row.attributes) == (
        3000,
        3500,
        {"asked": 1, "answered": 2},
    )


async def test_settling_twice_is_settling_once(story: Story) -> None:
    await story.admit(0, usd(40))
    first = await story.store.done(story.place(0), 1, settled(usd(7), cost=7))
    again = await story.store.done(story.place(0), 1, settled(usd(9), cost=9, result={"other": 1}))
    assert first == again
    assert (await _usd(story)).spent == 7
    (row,) = await story.store.ledger(item=story.item)
    assert (row.seq, row.cost) == (1, 7)


async def test_settling_a_late_try_twice_is_settling_it_once(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.claim(now=3001)
    await story.admit(0, usd(40))
    await story.store.done(story.place(0), 2, settled(usd(7), cost=7))
    for paid in (5, 9):
        await story.store.done(story.place(0), 1, settled(usd(paid), cost=paid))
    assert (await _usd(story)).spent == 12
    assert [r.cost for r in await story.store.ledger(after_seq=1)] == [7, 5]


async def test_finishing_needs_no_fence(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.claim(now=3001)
    got = await story.store.done(story.place(0), 1, settled(usd(7)))
    assert got.result == {"text": "fine"}
    assert isinstance(await story.store.intend(story.intent(0)), Recorded)


async def test_what_was_unknown_is_settled_when_its_process_comes_back(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.store.sweep(999_999)
    assert await _usd(story) == Budget("run:r1:usd", RUN, 100, unknown=40)
    await story.store.done(story.place(0), 1, settled(usd(7), cost=7))
    assert await _usd(story) == Budget("run:r1:usd", RUN, 100, spent=7)
    (row,) = await story.store.ledger(item=story.item)
    assert (row.status, row.seq, row.error) == ("done", 2, None)


async def test_the_workspace_and_the_evidence_move_with_the_result(story: Story) -> None:
    await story.admit(0)
    proof = Evidence("verified", TREE, "passed", "verifier", "42 tests")
    await story.store.done(
        story.place(0), 1, settled(tree=TREE, state="sha256:state", evidence=(proof,))
    )
    await story.admit(1)
    await story.store.done(story.place(1), 1, settled(state="sha256:state2"))
    item = await story.store.item(story.item)
    assert item is not None
    assert (item.tree, item.state) == (TREE, "sha256:state2")
    assert await story.store.evidence(story.item) == (proof,)
    first, second = await story.store.entries(story.item)
    assert (first.tree, first.state, second.tree) == (TREE, "sha256:state", None)
    assert (first.head_before, first.head_after) == (HEAD, "sha256:after")


async def test_a_late_result_moves_nothing(story: Story) -> None:
    await story.admit(0)
    await story.claim(now=3001)
    await story.admit(0)
    await story.store.done(story.place(0), 2, settled(tree=TREE))
    proof = Evidence("verified", "other", "passed", "v", "")
    await story.store.done(story.place(0), 1, settled(tree="other", evidence=(proof,)))
    item = await story.store.item(story.item)
    assert item is not None
    assert item.tree == TREE
    assert await story.store.evidence(story.item) == ()


@pytest.mark.parametrize(
    ("status", "left"),
    [
        ("failed", Budget("run:r1:usd", RUN, 100)),
        ("unknown", Budget("run:r1:usd", RUN, 100, unknown=40)),
    ],
)
async def test_a_hold_is_freed_when_the_call_surely_failed_and_counted_when_nobody_knows(
    story: Story, status: str, left: Budget
) -> None:
    await story.admit(0, usd(40))
    for _ in range(2):
        await story.store.fail(
            story.place(0),
            1,
            status=status,
            error="unavailable",
            attributes={"why": "503"},
            now=3300,
        )
    assert await _usd(story) == left
    (row,) = await story.store.ledger(item=story.item)
    assert (row.status, row.seq, row.error, row.attributes) == (
        status,
        1,
        "unavailable",
        {"why": "503"},
    )
    (entry,) = await story.store.entries(story.item)
    assert (entry.status, entry.result, entry.attempts) == ("intended", None, 1)


async def test_a_process_that_comes_back_can_still_say_that_nothing_happened(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.store.sweep(999_999)
    await story.store.fail(
        story.place(0), 1, status="failed", error="unavailable", attributes={}, now=9
    )
    assert await _usd(story) == Budget("run:r1:usd", RUN, 100)


async def test_a_settled_try_does_not_fail_afterwards(story: Story) -> None:
    await story.admit(0, usd(40))
    await story.store.done(story.place(0), 1, settled(usd(7)))
    await story.store.fail(story.place(0), 1, status="unknown", error="x", attributes={}, now=9)
    assert await _usd(story) == Budget("run:r1:usd", RUN, 100, spent=7)


async def test_settling_what_was_never_admitted_is_an_error(story: Story) -> None:
    with pytest.raises(
        StoreError, match=r"is not on the ledger\. An effect is admitted with intend"
    ):
        await story.store.done(story.place(0), 1, settled())


async def test_settled_rows_are_read_on_in_the_order_they_were_settled(story: Story) -> None:
    for step in range(4):
        await story.admit(step)
    for step in (2, 0, 3):
        await story.store.done(story.place(step), 1, settled())
    rows = await story.store.ledger(after_seq=0)
    assert [(r.seq, r.place.step) for r in rows] == [(1, 2), (2, 0), (3, 3)]
    assert [r.seq for r in await story.store.ledger(after_seq=2)] == [3]
    assert [r.seq for r in await story.store.ledger(after_seq=0, limit=2)] == [1, 2]


async def test_a_heartbeat_records_without_a_fence(story: Story) -> None:
    place = replace(story.place(0), owner=RUN)
    got = await story.store.record(
        place,
        kind="step",
        name="s",
        head=HEAD,
        head_after=HEAD,
        args={},
        result={},
        labels=("a",),
        fence=0,
        now=5,
    )
    assert got.labels == ("a",)
    assert [e.key for e in await story.store.entries(RUN)] == [place.key]
