"""What is on record without an effect outside?"""

import pytest

from governance.effects import Evidence, Recorded
from governance.errors import Diverged, StoreError
from tests.drivers.store.story import HEAD, TREE, Story


async def _step(story: Story, **changes: object) -> Recorded:
    plain = dict(
        kind="step",
        name="step",
        head=HEAD,
        head_after="h2",
        args={},
        result={"n": 1},
        labels=(),
        fence=story.fence,
        now=5,
    )
    return await story.store.record(story.place(0), **{**plain, **changes})


async def test_a_step_is_kept_and_the_first_wins(story: Story) -> None:
    first = await _step(story)
    again = await _step(story, result={"n": 2}, fence=99)
    assert first == again
    assert (first.result, first.head, first.head_after) == ({"n": 1}, HEAD, "h2")
    assert await story.store.ledger(item=story.item) == ()


async def test_a_verdict_comes_with_its_evidence_once(story: Story) -> None:
    proof = Evidence("checked", TREE, "accept", "reviewer", "fine")
    for _ in range(2):
        await _step(story, evidence=(proof,))
    assert await story.store.evidence(story.item) == (proof,)


@pytest.mark.parametrize(
    "changes", [{"kind": "delegate"}, {"head": "sha256:zz"}, {"args": {"a": 1}}]
)
async def test_another_step_under_a_known_key_has_diverged(
    story: Story, changes: dict[str, object]
) -> None:
    await _step(story)
    with pytest.raises(Diverged):
        await _step(story, **changes)


async def test_an_older_process_records_nothing(story: Story) -> None:
    await story.claim(now=4000)
    with pytest.raises(StoreError, match="was taken over"):
        await _step(story, fence=1)


async def test_a_refusal_may_follow_tries_that_surely_failed(story: Story) -> None:
    intent = story.intent(0, repeatable=False)
    await story.store.intend(intent)
    await story.store.fail(
        intent.place, 1, status="failed", error="unavailable", attributes={}, now=9
    )
    refused = await _step(story, kind="tool", name=intent.name, args=intent.args)
    assert refused.result == {"n": 1}


async def test_a_refusal_never_takes_the_place_of_what_may_have_happened(story: Story) -> None:
    intent = story.intent(0, repeatable=False)
    await story.store.intend(intent)
    await story.store.fail(intent.place, 1, status="unknown", error="unknown", attributes={}, now=9)
    with pytest.raises(StoreError, match="may have happened: try 1 is 'unknown'"):
        await _step(story, kind="tool", name=intent.name, args=intent.args)
