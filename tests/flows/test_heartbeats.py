"""A heartbeat knows what its loop did before, hands out nothing twice, and asks no model about nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from demo.forge.git import Bare
from demo.world import DemoWorld
from governance.records import ItemRow
from tests.flows.farside import bill, calls, ended, flow_runs, requests, spoken, to_the_card, until
from tests.flows.registries import registry_with
from tests.flows.telling import told
from tests.flows.worlds import playing

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.timeout(900)]

BOASTER = """\
name: boaster
intent: Every pull request is merged.
owner: noor@northwind.example
team: platform
model: claude-sonnet-4-6
instructions: triage.md@v4
skills: [ci-triage-runbook@v2]
mcp_servers: {github: [list_pull_requests]}
harness: {max_steps: 5}
"""
"""A lead that can merge nothing, and says "Done." all the same."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    home = tmp_path_factory.mktemp("heartbeats")
    registry = registry_with(home / "registry", [("boaster", BOASTER)])
    tickets = registry / "loops" / "ticket-triage.yaml"
    tickets.write_text(tickets.read_text().replace("max_items: 20", "max_items: 1"))
    with playing(home / "world", registry=registry) as running:
        yield running


@dataclass(frozen=True)
class Night:
    """One red build, mended and merged, with a second look while it waited."""

    item: ItemRow
    red: str
    """The commit that was red."""
    found_meanwhile: int
    dispatched: int


@pytest.fixture(scope="module")
async def night(world: DemoWorld) -> Night:
    red = str(Bare(world.repository).branch("main"))
    with told(world, "night-fix") as story:
        item, card = await to_the_card(story)
        meanwhile = await story.fire(200)
        dispatched = len(flow_runs(world, "work/night-fix"))
        story.approve(item, (card,))
        return Night(await ended(story, item), red, len(meanwhile), dispatched)


def facts(page: str, section: str) -> list[str]:
    """The lines of one section of a state page, an agent's own words left out."""
    _, _, after = page.partition(f"## {section}\n")
    lines = after.partition("\n\n## ")[0].splitlines()
    return [line for line in lines if "agent's own words, unverified" not in line]


async def test_the_same_red_build_is_handed_out_once_however_often_it_is_seen(
    world: DemoWorld, night: Night
):
    assert (night.found_meanwhile, night.dispatched) == (0, 1)
    with told(world, "night-fix") as story:
        second, first = await story.store.runs(loop="night-fix")
        assert (first.status, second.status) == ("closed", "closed")
        assert len(await story.store.items(loop="night-fix")) == 1


async def test_what_was_merged_is_on_the_state_page_by_its_evidence(world: DemoWorld, night: Night):
    assert night.item.status == "done"
    with told(world, "night-fix") as story:
        page = await story.store.state("night-fix")
    assert page is not None
    done = "\n".join(facts(page.body, "Done"))
    assert night.item.item in done
    assert f"verified: passed by verifier about {str(night.item.tree)[:12]}" in done
    assert "checked: accept by fix-reviewer" in done
    assert "github.create_pull_request; github.merge_pull_request" in done
    assert facts(page.body, "Open") == ["Nothing."]


async def test_a_look_that_sees_nothing_asks_no_model_and_its_run_is_closed(
    world: DemoWorld, night: Night
):
    before = bill(world)["calls"]
    with told(world, "night-fix") as story:
        assert await story.fire(200) == ()
        run, *_ = await story.store.runs(loop="night-fix")
        assert (run.status, run.summary, run.stop) == ("closed", "0 found", None)
        assert [r.kind for r in await story.store.ledger(run=run.run)] == ["tool"]
    assert bill(world)["calls"] == before


async def test_one_slot_is_one_run_however_often_it_fires(world: DemoWorld, night: Night):
    slot = {"loop": "night-fix", "slot": "2026-03-04T01:00:00Z"}
    with told(world, "night-fix") as story:
        states: list[tuple[str, str]] = []
        for _ in range(2):
            fired = story.api.trigger("heartbeat/night-fix", slot)

            def final(fired: str = fired) -> tuple[str, str] | None:
                state = story.api.flow_run(fired)["state"]
                over = state["type"] in ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")
                return (state["name"], state["message"]) if over else None

            states.append(await until("the heartbeat's end", final, 120))
        runs = [r for r in await story.store.runs(loop="night-fix") if r.slot == slot["slot"]]
    (run,) = runs
    assert states[0] == ("Done", "0 put in the inbox")
    assert states[1] == ("Cancelled", f"slot {run.slot} is the run of flow run {run.flow_run}")


async def test_an_agents_own_done_is_never_a_fact_and_its_successor_is_told_so(world: DemoWorld):
    with told(world, "boaster") as story:
        (item,) = await story.follow(await story.fire(200), 200)
        claims = str((item.outcome or {})["claims"])
        assert claims.startswith("Done. What I did:")
        page = await story.store.state("boaster")
        assert page is not None
        assert "Done. What I did:" not in "\n".join(facts(page.body, "Done"))
        assert "  - evidence: none" in facts(page.body, "Done")
        assert "  - actions: none" in facts(page.body, "Done")
        assert "agent's own words, unverified: Done. What I did:" in page.body

        (again,) = await story.follow(await story.fire(200), 200)
        assert again.item != item.item
    told_first, told_next = (
        spoken(requests(world, f"{run}/boaster/")[0]) for run in (item.run, again.run)
    )
    assert "What this loop already knows" not in told_first
    assert "What this loop already knows" in told_next
    assert page.body in told_next


async def test_a_loop_without_a_repository_runs_to_its_end(world: DemoWorld):
    with told(world, "ticket-triage") as story:
        (item,) = await story.follow(await story.fire(200), 200)
        assert (item.status, item.stop) == ("done", None)
        assert item.base is None
        run = await story.store.run(item.run)
        assert run is not None
        assert (run.status, run.summary) == ("closed", "1 found, 3 left for next time")
        flow_run = await until(
            "Completed", lambda: completed(story.api.flow_run(str(item.flow_run)))
        )
        assert flow_run["state"]["name"] == "Done"
    assert item.finding.dedupe == "NW-101"
    acted = [
        (c["tool"], c["arguments"].get("id")) for c in calls(world, connector="linear") if c["key"]
    ]
    written = [one for one in acted if not one[0].startswith(("list_", "get_"))]
    assert sorted(written) == [("comment_ticket", "NW-101"), ("label_ticket", "NW-101")]
    assert (item.outcome or {})["actions"] == ["linear.label_ticket", "linear.comment_ticket"]


async def test_the_next_night_knows_what_the_last_one_did(world: DemoWorld, night: Night):
    """Somebody brings the bug back: the lead of the next heartbeat is told what was done about it."""
    Bare(world.repository).run("update-ref", "refs/heads/main", night.red)
    with told(world, "night-fix") as story:
        page = await story.store.state("night-fix")
        assert page is not None
        (item,) = await story.fire(200)
        assert item.item != night.item.item
        assert item.finding.dedupe == night.item.finding.dedupe
        asked = spoken(requests(world, f"{item.run}/night-fix/lead")[0])
        assert page.body in asked
        assert f"item {night.item.item}" in asked


def completed(run: dict[str, dict[str, str]]) -> dict[str, dict[str, str]] | None:
    """The flow run once it is completed."""
    return run if run["state"]["type"] == "COMPLETED" else None
