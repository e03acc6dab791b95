"""The loop as it was published runs as it stands, and each of its agents knows only its own conversation."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from demo.world import ROOT, DemoWorld
from governance.parts import Json
from governance.records import Card, ItemRow
from tests.flows.farside import flow_runs, merges, requests, spoken, to_the_card
from tests.flows.registries import registry_with
from tests.flows.telling import told
from tests.flows.worlds import playing

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(900)]

LOOP = "morning-triage-loop"
PUBLISHED = """\
agent:
  name: morning-triage-loop
  model: claude-sonnet-4-6
  instructions: ./triage.md@v4
  skills: [ci-triage-runbook@v2]
  mcp_servers: [github, ci, linear]
  subagents:
    - { name: fix-drafter, mcp_servers: [github] }
    - { name: fix-reviewer, mcp_servers: [] }
  harness:
    max_steps: 60
    max_tokens_per_run: 1_500_000
    approvals: { merge_pr: pause_for_human }
  trigger: { schedule: "0 6 * * 1-5" }
"""


@dataclass(frozen=True)
class Morning:
    """One firing of the published loop, to its card."""

    item: ItemRow
    card: Card
    lead: list[Json]
    drafter: list[Json]
    reviewer: list[Json]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    home = tmp_path_factory.mktemp("delegates")
    with playing(home / "world", registry=registry_with(home / "registry")) as running:
        yield running


@pytest.fixture(scope="module")
async def morning(world: DemoWorld) -> Morning:
    with told(world, LOOP) as story:
        item, card = await to_the_card(story)
    run = f"{item.run}/{LOOP}/"
    return Morning(
        item,
        card,
        *(
            requests(world, run, role)
            for role in ("Role: lead", *map(delegate, ("drafter", "reviewer")))
        ),
    )


def delegate(name: str) -> str:
    """How the system prompt of a delegate begins."""
    return f"Role: delegate:fix-{name}"


def results(body: Json) -> list[str]:
    """The tool results in one request, oldest first."""
    blocks = [b for m in body["messages"] for b in m["content"] if b["type"] == "tool_result"]
    return [spoken({"messages": b["content"]}).strip() for b in blocks]


def said(body: Json) -> list[str]:
    """What the agent itself said in one request's history."""
    blocks = [b for m in body["messages"] if m["role"] == "assistant" for b in m["content"]]
    return [b["text"] for b in blocks if b["type"] == "text"]


async def test_the_published_example_stands_in_the_registry_and_the_docs_as_it_was_printed():
    assert (ROOT / "registry/loops/morning-triage-loop.yaml").read_text() == PUBLISHED
    assert f"```yaml\n{PUBLISHED}```" in (ROOT / "docs/loops.md").read_text()


async def test_the_published_example_runs_to_the_merge_and_waits_there(
    world: DemoWorld, morning: Morning
):
    assert morning.item.status == "waiting"
    assert morning.card.tool == "github.merge_pull_request"
    assert morning.card.by.agent == "lead"
    assert morning.card.evidence == (), "nothing was verified, and the card does not pretend so"
    assert morning.card.deadline is None
    (work,) = flow_runs(world, f"work/{LOOP}")
    assert work["state"]["name"] == "Suspended"
    assert merges(world) == []


async def test_each_agent_starts_from_its_brief_alone(morning: Morning):
    assert [len(r[0]["messages"]) for r in (morning.lead, morning.drafter, morning.reviewer)] == [
        1,
        1,
        1,
    ]
    briefs = [b["task"] for b in handed(morning.lead[-1])]
    assert [
        spoken({"messages": r[0]["messages"]}) for r in (morning.drafter, morning.reviewer)
    ] == briefs


async def test_a_lead_sees_of_a_delegates_conversation_its_last_words_and_nothing_else(
    morning: Morning,
):
    lead = spoken(morning.lead[-1])
    read = results(morning.drafter[-1])
    assert len(read) >= 2, "it read files"
    own = said(morning.drafter[-1])
    assert own, "and said what it was doing"
    for text in (*read, *own):
        assert text not in lead
    last = results(morning.lead[-1])
    assert any(text.startswith("In northwind/pricing.py, replace `") for text in last)


async def test_a_delegate_sees_nothing_of_the_leads_conversation_or_of_another_delegates(
    morning: Morning,
):
    own = said(morning.lead[-1])
    read = [text for text in results(morning.lead[-1]) if len(text) > 200]
    assert len(own) >= 4
    assert read, "the lead read its runbook and what fails"
    runbook = next(text for text in read if "runbook" in text.lower())
    for body in (*morning.drafter, *morning.reviewer):
        text = spoken(body)
        assert runbook not in text
        assert not [words for words in own if words in text]
    for body in morning.reviewer:
        assert not [t for t in results(morning.drafter[-1]) if t in spoken(body)]
        assert body.get("tools", []) == [], "it was granted nothing"


async def test_an_agents_conversation_only_grows(morning: Morning):
    """So its provider's cache pays, and nothing is slipped into its past."""
    for asked in (morning.lead, morning.drafter):
        for before, after in pairwise(plain(body) for body in asked):
            assert after[: len(before)] == before


def handed(body: Json) -> list[Json]:
    """The arguments of the lead's delegations, in order."""
    blocks = [b for m in body["messages"] if m["role"] == "assistant" for b in m["content"]]
    return [b["input"] for b in blocks if b["type"] == "tool_use" and b["name"].startswith("fix-")]


def plain(body: Json) -> list[Json]:
    """Its messages without the marks for the provider's cache."""
    return [
        {
            **m,
            "content": [{k: v for k, v in b.items() if k != "cache_control"} for b in m["content"]],
        }
        for m in body["messages"]
    ]
