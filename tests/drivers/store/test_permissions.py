"""Is there evidence about these bytes, and did a person approve them?"""

from dataclasses import replace

import pytest

from governance.effects import (
    Admitted,
    Evidence,
    Intent,
    Refused,
    Stop,
)
from tests.drivers.store.story import TREE, Story, card_for, settled, usd


async def _prove(story: Story, step: int, *pieces: Evidence) -> None:
    place = story.place(step, lane="verify")
    admitted = await story.admit(0, place=place)
    await story.store.done(place, admitted.attempt, settled(evidence=pieces, tree=TREE))


def _deliver(story: Story, tree: str = TREE) -> Intent:
    return story.intent(9, tree=tree, needs=("verified", "checked"))


async def test_nothing_is_delivered_without_evidence(story: Story) -> None:
    refused = await story.store.intend(_deliver(story))
    assert refused == Refused(
        Stop(
            "verifier",
            "no evidence about exactly these bytes: 'github.list_issues' needs verified = 'passed' "
            f"for tree '{TREE}', and there is none",
        )
    )


async def test_verified_and_accepted_bytes_are_delivered(story: Story) -> None:
    await _prove(story, 1, Evidence("verified", TREE, "passed", "verifier", "42 tests"))
    refused = await story.store.intend(_deliver(story))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "checker"
    await _prove(story, 2, Evidence("checked", TREE, "accept", "reviewer", "fine"))
    assert isinstance(await story.store.intend(_deliver(story)), Admitted)


async def test_evidence_about_other_bytes_does_not_count(story: Story) -> None:
    await _prove(
        story,
        1,
        Evidence("verified", TREE, "passed", "v", ""),
        Evidence("checked", TREE, "accept", "c", ""),
    )
    refused = await story.store.intend(_deliver(story, tree="0" * 40))
    assert isinstance(refused, Refused)


async def test_the_latest_verdict_counts(story: Story) -> None:
    await _prove(
        story,
        1,
        Evidence("verified", TREE, "passed", "v", ""),
        Evidence("checked", TREE, "accept", "c", ""),
    )
    await _prove(story, 2, Evidence("checked", TREE, "revise", "c", "no"))
    refused = await story.store.intend(_deliver(story))
    assert isinstance(refused, Refused)
    assert refused.stop.detail.endswith("and the latest verdict is 'revise'")
    verdicts = [e.verdict for e in await story.store.evidence(story.item)]
    assert verdicts == ["passed", "accept", "revise"]


async def _approved(story: Story, intent: Intent, **changes: object) -> str:
    card = await story.store.ask(card_for(intent, **changes), notice={}, fence=story.fence)
    await story.store.answer(card.card, answer="approve", by="noor", reason="ok", now=3100)
    return card.card


async def test_an_approved_card_lets_exactly_one_effect_through(story: Story) -> None:
    intent = story.intent(0, tree=TREE, tool_digest="sha256:tool")
    card = await _approved(story, intent)
    assert isinstance(await story.store.intend(replace(intent, card=card)), Admitted)
    used = await story.store.card(card)
    assert used is not None
    assert used.used_by == intent.place.key


async def test_a_second_try_of_the_same_effect_uses_the_same_card(story: Story) -> None:
    intent = story.intent(0)
    intent = replace(intent, card=await _approved(story, intent))
    first = await story.store.intend(intent)
    assert isinstance(first, Admitted)
    await story.store.fail(
        intent.place, 1, status="failed", error="unavailable", attributes={}, now=9
    )
    assert await story.store.ask(card_for(intent), notice={}, fence=1) == await story.store.card(
        "c1"
    )
    second = await story.store.intend(intent)
    assert isinstance(second, Admitted)
    assert second.attempt == 2


async def test_an_approval_is_used_once(story: Story) -> None:
    one, two = story.intent(0), story.intent(1)
    card = await _approved(story, one)
    joined = await story.store.ask(card_for(two), notice={}, fence=1)
    assert joined.card == card
    assert isinstance(await story.store.intend(replace(one, card=card)), Admitted)
    refused = await story.store.intend(replace(two, card=card))
    assert refused == Refused(
        Stop(
            "denied",
            f"card 'c1' does not permit 'github.list_issues': it was used by effect '{one.place.key}'",
        )
    )


async def test_an_approval_serves_only_an_effect_that_asked_for_it(story: Story) -> None:
    card = await _approved(story, story.intent(0))
    refused = await story.store.intend(story.intent(1, card=card))
    assert isinstance(refused, Refused)
    assert "it is about effect" in refused.stop.detail


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"args": {"state": "closed"}}, "arguments"),
        ({"name": "github.close_issue"}, "tool"),
        ({"tree": "0" * 40}, "tree"),
        ({"tool_digest": "sha256:other"}, "tool digest"),
    ],
)
async def test_an_approval_of_other_bytes_permits_nothing(
    story: Story, changes: dict[str, object], what: str
) -> None:
    intent = story.intent(0, tree=TREE)
    card = await _approved(story, intent)
    refused = await story.store.intend(replace(intent, card=card, **changes))
    assert isinstance(refused, Refused)
    assert refused.stop.reason == "denied"
    assert f"its {what} is " in refused.stop.detail


async def test_a_card_nobody_approved_permits_nothing(story: Story) -> None:
    intent = story.intent(0)
    card = await story.store.ask(card_for(intent), notice={}, fence=1)
    for wrong in (card.card, "c-none"):
        assert isinstance(await story.store.intend(replace(intent, card=wrong)), Refused)
    await story.store.answer(card.card, answer="reject", by="noor", reason="", now=9)
    assert isinstance(await story.store.intend(replace(intent, card=card.card)), Refused)


async def test_a_refused_effect_leaves_its_card_unused(story: Story) -> None:
    intent = story.intent(0, usd(1000))
    card = await _approved(story, intent)
    assert isinstance(await story.store.intend(replace(intent, card=card)), Refused)
    left = await story.store.card(card)
    assert left is not None
    assert left.used_by is None
