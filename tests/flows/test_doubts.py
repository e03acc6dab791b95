"""A write may have happened: what a person is shown, what they can say, and what the far side counts after each."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from blocks import McpServer
from demo.world import ROOT
from governance.records import Card, ItemRow
from tests.flows.bench import Bench
from tests.flows.farside import calls, requests, spoken, until
from tests.flows.wire import Cut, Wire, wire_to

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Prefect 3.8.8 leaves a socket to its server open when a flow is suspended within a process that lives on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOOP = "ticket-triage"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
WRITE = "linear.comment_ticket"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("doubts")) as running:
        yield running


@asynccontextmanager
async def wired(bench: Bench, connector: str) -> AsyncGenerator[Wire]:
    """A wire between us and one of the forge's servers, while it is needed."""
    straight, token = f"{bench.forge_url}/{connector}/mcp", SecretStr(bench.keys.forge)
    async with wire_to(straight) as made:
        await bench.save(connector, McpServer(url=made.url, token=token))
        yield made
        await bench.save(connector, McpServer(url=straight, token=token))


@pytest.fixture
async def wire(bench: Bench) -> AsyncGenerator[Wire]:
    """The wire to the tickets."""
    async with wired(bench, "linear") as made:
        yield made


async def lost(bench: Bench, wire: Wire, name: str, cut: Cut) -> tuple[ItemRow, Card]:
    """An item whose comment was cut off, and its card."""
    await bench.begin(name, LOOP, **ONE)
    wire.cuts["comment_ticket"] = cut
    _, _, (item,) = await bench.heartbeat(LOOP)
    state, item = await bench.work(item)
    assert state.is_paused(), (state, item.stop)
    assert (item.status, wire.happened) == ("waiting", ["comment_ticket"])
    (card,) = await bench.store.cards(item=item.item)
    assert (card.kind, card.tool) == ("in_doubt", WRITE)
    return item, card


def comments(bench: Bench, card: Card) -> list[Any]:
    """The calls of the lost effect that reached the tickets."""
    return calls(bench, key=card.key)


def say(bench: Bench, item: ItemRow, card: Card, said: str, gave: str = "") -> str:
    """The form as the UI sends it."""
    form = {
        f"card_{card.card}": said, f"result_{card.card}": gave, "approver": "noor", "reason": "I looked",
    }  # fmt: skip
    return bench.api.resume(str(item.flow_run), form)["status"]


async def test_the_card_shows_what_the_far_side_shows_and_that_the_connection_ended(
    bench: Bench, wire: Wire
) -> None:
    item, card = await lost(bench, wire, "shown", "after")
    assert card.facts is not None
    assert card.facts["process"] == {
        "fate": "ended", "why": "over: the process that made it saw its connection end",
    }  # fmt: skip
    probe = card.facts["probe"]
    assert (probe["tool"], probe["arguments"]) == (
        "linear.get_ticket",
        {"id": card.arguments["id"]},
    )
    assert str(card.arguments["body"]) in probe["text"], "the comment is there"
    asked = [r for r in await bench.ledger(item, "tool") if r.place.lane.startswith("probe-")]
    (row,) = asked
    assert (row.status, row.name, row.cost) == ("done", "linear.get_ticket", 0)
    described = await bench.shown(item)
    for told in ("its process", "the far side", "What the far side shows", "linear.get_ticket"):
        assert told in described, told
    asked_for = str(bench.api.form(str(item.flow_run)))
    for choice in ("it happened", "it did not", "abandon", "later"):
        assert choice in asked_for, choice
    state, later = await bench.again(item)
    assert state.is_paused()
    assert later.fence == item.fence + 1
    rows = await bench.ledger(item, "tool")
    assert [r for r in rows if r.place.lane.startswith("probe-")] == asked, "asked once"


async def test_what_happened_counts_as_done_is_told_and_never_made_again(
    bench: Bench, wire: Wire
) -> None:
    item, card = await lost(bench, wire, "happened", "after")
    assert say(bench, item, card, "maybe") == "REJECT"
    assert say(bench, item, card, "it happened", '{"comment": 41}') == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    (made,) = comments(bench, card)
    assert not made["is_error"]
    told = spoken(requests(bench, f"/{LOOP}/")[-1])
    assert "vouches that it happened: I looked" in told
    assert '{"comment": 41}' in told
    (entry,) = [e for e in await bench.store.entries(item.item) if e.key == card.key]
    assert entry.result is not None
    assert (entry.status, entry.result["structured"]) == ("done", {"comment": 41})
    assert entry.result["is_error"] is False
    assert entry.labels == ("vouched", "untrusted")
    (row,) = [r for r in await bench.ledger(item) if r.key == card.key]
    assert (row.attempt, row.status, row.cost) == (1, "done", 0)
    assert item.outcome is not None
    assert WRITE in item.outcome["actions"]


async def test_what_did_not_happen_is_started_once_more(bench: Bench, wire: Wire) -> None:
    item, card = await lost(bench, wire, "did-not", "before")
    assert card.facts is not None
    before = [c for c in calls(bench, tool="comment_ticket") if not c["is_error"]]
    there = card.facts["probe"]["text"].count(str(card.arguments["body"]))
    assert there == len(before), "only what earlier tests have said"
    assert comments(bench, card) == []
    told = await bench.loops(
        "resolve", card.card, "not-happened", "--as", "noor", "--reason", "not there"
    )
    assert (told["answer"], told["woken"]) == ("not-happened", True)
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    (made,) = comments(bench, card)
    assert (made["is_error"], made["replayed"]) == (False, False)
    rows = [r for r in await bench.ledger(item) if r.key == card.key]
    assert [r.status for r in rows] == ["unknown", "done"]


async def test_what_is_abandoned_ends_its_item(bench: Bench, wire: Wire) -> None:
    item, card = await lost(bench, wire, "abandoned", "after")
    assert say(bench, item, card, "abandon") == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_failed(), state.name) == (True, "In doubt")
    assert item.stop is not None
    assert item.stop.reason == "in_doubt"
    assert "'claimed: noor' abandoned it: I looked" in item.stop.detail
    assert len(comments(bench, card)) == 1


async def test_a_killed_process_is_proven_dead_and_its_answer_waits_until_nothing_can_be_sent(
    bench: Bench, wire: Wire
) -> None:
    await bench.begin("killed", LOOP, **ONE)
    wire.cuts["comment_ticket"] = "hang"
    _, _, (item,) = await bench.heartbeat(LOOP)
    item = await bench.item(item)
    environment = {**bench.environment(), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.flows.life", str(item.flow_run), "4000"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        await until("the write", lambda: wire.happened)
        process.send_signal(signal.SIGKILL)
        process.wait()
    state, item = await bench.work(item)
    assert state.is_paused(), item.stop
    (card,) = await bench.store.cards(item=item.item)
    assert card.facts is not None
    assert card.facts["process"]["fate"] == "dead"
    assert f"proven dead: there is no process {process.pid} on" in card.facts["process"]["why"]
    assert card.not_before is not None
    await asyncio.sleep(max(0, card.not_before - card.asked_at) / 1000)
    assert say(bench, item, card, "it happened") == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    assert len(comments(bench, card)) == 1


@pytest.mark.docker
async def test_a_delivery_goes_on_with_the_number_that_the_far_side_shows(bench: Bench) -> None:
    """The pull request was made and its answer is lost; the merge that follows needs its number."""
    async with wired(bench, "github") as wire:
        await bench.begin("number", "night-fix")
        wire.cuts["create_pull_request"] = "after"
        _, _, (item,) = await bench.heartbeat("night-fix")
        state, item = await bench.work(item)
        assert state.is_paused(), item.stop
        (card,) = await bench.store.cards(item=item.item)
        assert (card.kind, card.tool) == ("in_doubt", "github.create_pull_request")
        assert card.facts is not None
        (shown,) = card.facts["probe"]["found"]
        assert shown["head"] == card.arguments["head"]
        assert say(bench, item, card, "it happened") == "ACCEPT"
        state, item = await bench.work(item)
        assert state.is_paused(), item.stop
        (merge,) = await bench.store.cards(item=item.item)
        assert (merge.tool, merge.arguments["pull_number"]) == (
            "github.merge_pull_request", shown["number"],
        )  # fmt: skip
        made = calls(bench, tool="create_pull_request", key=card.key)
        assert [c["is_error"] for c in made] == [False]
