"""A red build is mended, verified, checked, approved and merged: the main story, on real processes."""

import pytest

from demo.world import DemoWorld
from tests.flows.telling import told

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(300)]


async def test_a_red_build_is_mended_and_merged_once_a_person_approved(world: DemoWorld) -> None:
    with told(world, "night-fix") as story:
        items = await story.follow(await story.fire(120), 200)
        assert [i.status for i in items] == ["waiting"]
        (card,) = await story.cards(items)
        assert card.tool == "github.merge_pull_request"
        assert [(e.kind, e.verdict) for e in card.evidence] == [
            ("base", "failing"),
            ("verified", "passed"),
            ("checked", "accept"),
        ]
        story.approve(items[0], (card,))
        (item,) = await story.follow(items, 200)
        assert item.status == "done"
        assert item.tree == card.tree
