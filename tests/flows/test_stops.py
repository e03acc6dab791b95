"""Does everything that ends before it is done say why, everywhere a person may look?"""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from pydantic import SecretStr

from blocks import McpServer
from governance.conversation import EMPTY_HEAD
from governance.effects import Admitted, Evidence, Intent, Place, Refused
from governance.records import Card, Claimed, ItemRow
from tests.drivers.store.story import LEAD
from tests.flows.bench import Bench

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

TICKETS, FIX = "ticket-triage", "night-fix"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("stops")) as running:
        yield running


@pytest.fixture(autouse=True)
def at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.no_pauses(monkeypatch)


async def told_everywhere(
    bench: Bench, state: State[Any], item: ItemRow, reason: str, *words: str
) -> None:
    """The stop is on the item, in Prefect's state, in both commands, and nothing is admitted after it."""
    assert item.status == "stopped"
    assert item.stop is not None
    assert item.stop.reason == reason
    for word in words:
        assert word in item.stop.detail
    assert state.name == reason.replace("_", " ").capitalize()
    assert state.message == item.stop.detail
    assert not state.is_completed()
    as_json = vars(item.stop)
    (listed,) = [i for i in await bench.loops("inbox", "--all") if i["item"] == item.item]
    assert listed["stop"] == as_json
    assert (await bench.loops("trace", item.item))["stop"] == as_json
    page = await bench.store.state(item.loop)
    assert page is not None
    assert reason in page.body
    await nothing_is_admitted(bench, item)


async def nothing_is_admitted(bench: Bench, item: ItemRow) -> None:
    before = await bench.ledger(item)
    now = time.time_ns() // 1_000_000
    assert all(row.status != "open" for row in before)
    assert all(row.started_at <= (item.closed_at or 0) for row in before)
    late = Intent(
        place=Place(item.run, item.item, 0, "late", 99, 0), kind="model", name="any", principal=LEAD, rule="none",
        head=EMPTY_HEAD, args={}, fence=item.fence, now=now, send_by=now + 1000, lease=now + 1000,
        repeatable=True,
    )  # fmt: skip
    refused = await bench.store.intend(late)
    assert isinstance(refused, Refused)
    assert item.stop is not None
    assert refused.stop.reason == item.stop.reason
    assert await bench.ledger(item) == before


async def one_item(bench: Bench, loop: str) -> ItemRow:
    _, _, items = await bench.heartbeat(loop)
    assert len(items) == 1
    return items[0]


async def test_an_item_stops_at_its_steps(bench: Bench) -> None:
    await bench.begin(
        "steps", TICKETS, **ONE, harness={"max_steps": 2}, play={"tickets/v1": "repeat"}
    )
    state, item = await bench.work(await one_item(bench, TICKETS))
    await told_everywhere(
        bench, state, item, "steps", "3 of 2 steps", "Raise it with `loops budget raise item:"
    )
    assert len(await bench.ledger(item, "model")) == 2


async def test_a_run_stops_before_its_tokens_are_overshot(bench: Bench) -> None:
    cap = 20_000
    await bench.begin(
        "tokens", TICKETS, **ONE, play={"tickets/v1": "chatter"},
        harness={"max_steps": 100, "max_output_tokens": 600, "max_tokens_per_run": cap},
    )  # fmt: skip
    state, item = await bench.work(await one_item(bench, TICKETS))
    await told_everywhere(bench, state, item, "tokens", "of 20,000 tokens")
    rows = await bench.store.ledger(run=item.run)
    assert cap / 4 < sum(r.usage.total for r in rows) <= cap


async def test_a_run_stops_before_its_money_is_overshot(bench: Bench) -> None:
    await bench.begin(
        "cost", TICKETS, **ONE, play={"tickets/v1": "chatter"},
        harness={"max_steps": 100, "max_output_tokens": 600, "max_cost_usd_per_run": 0.08},
    )  # fmt: skip
    before = bench.bill()["cost_pico_usd"]
    state, item = await bench.work(await one_item(bench, TICKETS))
    await told_everywhere(bench, state, item, "cost", "of 0.08 usd")
    spent = bench.bill()["cost_pico_usd"] - before
    assert spent == sum(r.cost or 0 for r in await bench.store.ledger(run=item.run))
    assert 20_000_000_000 < spent <= 80_000_000_000


async def test_an_item_stops_when_its_awake_minutes_are_over(bench: Bench) -> None:
    await bench.begin("minutes", TICKETS, **ONE, harness={"max_minutes": 1})
    found = await bench.item(await one_item(bench, TICKETS))
    now = time.time_ns() // 1_000_000
    assert found.flow_run is not None
    # A process took it up two minutes ago and died just now.
    await bench.store.claim(
        found.item, flow_run=found.flow_run, now=now - 120_000, lease=now, max_lives=10
    )
    state, item = await bench.work(found)
    await told_everywhere(bench, state, item, "minutes", "of 1.0 minutes", "harness.max_minutes")
    assert await bench.ledger(item) == []


async def test_the_same_call_with_the_same_answer_is_a_stall(bench: Bench) -> None:
    await bench.begin("stall", TICKETS, **ONE, play={"tickets/v1": "repeat"})
    state, item = await bench.work(await one_item(bench, TICKETS))
    await told_everywhere(bench, state, item, "stalled", "'linear__get_ticket' was called 3 times")
    assert len(await bench.ledger(item, "tool")) == 3


@pytest.mark.parametrize(
    ("stop", "reason", "word"),
    [
        ("refusal", "refusal", "refused to go on"),
        ("max_tokens", "truncated", "harness.max_output_tokens"),
        ("model_context_window_exceeded", "truncated", "cut off"),
        ("whatever", "malformed", "'whatever'"),
    ],
)
async def test_an_answer_that_ends_badly_ends_the_item(
    bench: Bench, stop: str, reason: str, word: str
) -> None:
    await bench.begin(f"answer-{stop}", TICKETS, **ONE)
    found = await one_item(bench, TICKETS)
    bench.faults({"kind": "stop", "stop": stop})
    before = bench.bill()["cost_pico_usd"]
    state, item = await bench.work(found)
    await told_everywhere(bench, state, item, reason, word)
    (call,) = await bench.ledger(item)
    assert call.status == "done", "it was answered, so it is paid"
    assert call.cost == bench.bill()["cost_pico_usd"] - before > 0


async def test_calls_of_an_answer_that_was_cut_off_are_never_made(bench: Bench) -> None:
    await bench.begin("cut", TICKETS, **ONE, play={"tickets/v1": "chatter"})
    found = await one_item(bench, TICKETS)
    bench.faults({"kind": "stop", "stop": "max_tokens"})
    state, item = await bench.work(found)
    await told_everywhere(bench, state, item, "truncated", "max_tokens")
    assert await bench.ledger(item, "tool") == []


async def test_a_heartbeats_stop_is_its_runs(bench: Bench) -> None:
    await bench.begin("run", TICKETS, **ONE)
    bench.faults({"kind": "stop", "stop": "refusal"})
    state, run, items = await bench.heartbeat(TICKETS)
    assert items == ()
    assert run.status == "closed"
    assert run.stop is not None
    assert run.stop.reason == "refusal"
    assert (state.name, state.message) == ("Refusal", run.stop.detail)
    told = await bench.loops("trace", run.run)
    assert told["stop"] == vars(run.stop)


async def test_a_provider_that_stays_away_ends_the_item_as_unavailable(bench: Bench) -> None:
    await bench.begin("away", TICKETS, **ONE)
    found = await one_item(bench, TICKETS)
    bench.faults({"kind": "status", "status": 529, "error": "overloaded_error", "times": 5})
    state, item = await bench.work(found)
    await told_everywhere(bench, state, item, "unavailable", "529 overloaded_error")
    assert [r.status for r in await bench.ledger(item)] == ["failed"] * 5


@pytest.mark.parametrize(
    ("status", "error"), [(401, "authentication_error"), (403, "permission_error")]
)
async def test_a_key_that_is_refused_is_not_tried_again_and_its_block_is_named(
    bench: Bench, status: int, error: str
) -> None:
    await bench.begin(f"key-{status}", TICKETS, **ONE)
    found = await one_item(bench, TICKETS)
    bench.faults({"kind": "status", "status": status, "error": error, "times": 9})
    state, item = await bench.work(found)
    await told_everywhere(
        bench, state, item, "refused_outside", f"{status} {error}", "'model-provider/anthropic'",
        "`loops connect model anthropic --replace`",
    )  # fmt: skip
    assert [r.status for r in await bench.ledger(item)] == ["failed"]
    assert state.is_failed()


async def test_a_connectors_revoked_token_ends_the_item_and_its_block_is_named(
    bench: Bench,
) -> None:
    await bench.begin("token", TICKETS, **ONE)
    found = await one_item(bench, TICKETS)
    there = f"{bench.forge_url}/linear/mcp"
    await bench.save("linear", McpServer(url=there, token=SecretStr("revoked")))
    try:
        state, item = await bench.work(found)
    finally:
        await bench.save("linear", McpServer(url=there, token=SecretStr(bench.keys.forge)))
    await told_everywhere(
        bench, state, item, "refused_outside", "refused our credential (HTTP 401)",
        "'mcp-server/linear'", "`loops connect mcp linear --replace`",
    )  # fmt: skip
    assert await bench.ledger(item) == []


async def test_a_look_whose_token_was_revoked_ends_the_heartbeat_with_the_way_out(
    bench: Bench,
) -> None:
    await bench.begin("look", TICKETS, **ONE)
    there = f"{bench.forge_url}/linear/mcp"
    await bench.save("linear", McpServer(url=there, token=SecretStr("revoked")))
    try:
        state, run, items = await bench.heartbeat(TICKETS)
    finally:
        await bench.save("linear", McpServer(url=there, token=SecretStr(bench.keys.forge)))
    assert (state.name, items, run.status) == ("Refused outside", (), "closed")
    assert run.stop is not None
    assert run.stop.reason == "refused_outside"
    assert "'mcp-server/linear'" in run.stop.detail


async def test_a_moment_that_is_later_than_an_item_may_wait_is_named_and_nobody_waits_for_it(
    bench: Bench,
) -> None:
    await bench.begin("far", TICKETS, **ONE, harness={"max_wait": "30m"})
    found = await one_item(bench, TICKETS)
    fault = {"kind": "status", "status": 429, "error": "rate_limit_error", "times": 9}
    bench.faults({**fault, "headers": {"retry-after": "3600"}})
    began = time.time()
    state, item = await bench.work(found)
    named = datetime.fromtimestamp(began + 3600, UTC)
    minutes = [(named + timedelta(minutes=n)).strftime("%Y-%m-%d %H:%M UTC") for n in range(3)]
    await told_everywhere(bench, state, item, "unavailable", "left alone until ")
    assert item.stop is not None
    assert any(f"until {minute}." in item.stop.detail for minute in minutes)
    assert [r.status for r in await bench.ledger(item)] == ["failed"]


async def test_a_model_that_lost_its_price_is_not_asked_under_a_cost_cap(bench: Bench) -> None:
    """The loops have moved on to another model; an item that was found before is still pinned to the old one."""
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot

    await bench.begin("unpriced", TICKETS, **ONE, harness={"max_cost_usd_per_run": 1})
    found = await one_item(bench, TICKETS)
    for file in (bench.registry / "loops").glob("*.yaml"):
        file.write_text(file.read_text().replace("claude-sonnet-4-6", "claude-opus-4-8"))
    rest = deepcopy(providers)
    for provider in rest:
        provider.models = [m for m in provider.models if not m.is_match("claude-sonnet-4-6")]
    before = bench.bill()["calls"]
    set_custom_snapshot(DataSnapshot(providers=rest, from_auto_update=False))
    try:
        state, item = await bench.work(found)
    finally:
        set_custom_snapshot(None)
    await told_everywhere(bench, state, item, "cost", "'claude-sonnet-4-6' has no price")
    assert await bench.ledger(item) == []
    assert bench.bill()["calls"] == before


async def test_an_item_that_kills_its_processes_is_taken_up_only_so_often(bench: Bench) -> None:
    await bench.begin("lives", TICKETS, **ONE, harness={"max_lives": 2})
    found = await bench.item(await one_item(bench, TICKETS))
    assert found.flow_run is not None
    now = time.time_ns() // 1_000_000
    for life in range(2):
        await bench.store.claim(
            found.item, flow_run=found.flow_run, now=now + life, lease=now + life, max_lives=2
        )
    state, item = await bench.work(found)
    assert item.stop is not None
    assert item.stop.reason == "lives"
    assert "2 of 2 processes" in item.stop.detail
    assert (state.name, state.message) == ("Lives", item.stop.detail)
    assert await bench.ledger(item) == []


ASKS: dict[str, Any] = {
    "play": {"tickets/v1": "chatter"},
    "harness": {"max_steps": 60, "approvals": {"linear.comment_ticket": "pause_for_human"}},
}


async def asking(bench: Bench) -> tuple[ItemRow, Card]:
    """An item that waits for a person to allow a comment."""
    state, item = await bench.work(await one_item(bench, TICKETS))
    assert state.is_paused()
    (card,) = await bench.store.cards(item=item.item)
    assert card.tool == "linear.comment_ticket"
    return item, card


def answer(bench: Bench, item: ItemRow, card: Card, word: str, reason: str) -> None:
    """A person fills in the form."""
    form = {f"card_{card.card}": word, "approver": "noor", "reason": reason}
    assert bench.api.resume(str(item.flow_run), form)["status"] == "ACCEPT"


async def test_a_conversation_that_is_another_than_on_record_has_diverged(bench: Bench) -> None:
    await bench.begin("diverged", TICKETS, **ONE, **ASKS)
    item, card = await asking(bench)
    calls = len(await bench.ledger(item))
    # As if newer code asked the model something else: the record is of another conversation.
    with sqlite3.connect(bench.home / "diverged" / "store.db", timeout=30) as db:
        db.execute(
            "UPDATE journal SET head = 'sha256:another', seal = NULL WHERE owner = ? AND kind = 'model'",
            (item.item,),
        )
    db.close()
    answer(bench, item, card, "approve", "go on")
    state, item = await bench.work(item)
    assert state.is_paused(), "a person is asked what is to become of it"
    (parked,) = await bench.store.cards(item=item.item)
    assert (parked.kind, parked.tool) == ("diverged", "the item from its beginning")
    answer(bench, item, parked, "abandon", "too old")
    state, item = await bench.work(item)
    await told_everywhere(bench, state, item, "diverged", "asked at head sha256:another", "too old")
    assert len(await bench.ledger(item)) == calls, "nothing was made on a doubtful record"


async def test_a_write_in_doubt_that_a_person_abandons_is_not_made_again(bench: Bench) -> None:
    await bench.begin("doubt", TICKETS, **ONE, **ASKS)
    item, card = await asking(bench)
    now = time.time_ns() // 1_000_000
    await bench.store.answer(card.card, answer="approve", by="noor", reason="", now=now)
    answer(bench, item, card, "approve", "go on")
    await a_process_dies_in(bench, item, card, now)
    before = [r for r in await bench.ledger(item) if r.name == card.tool]
    assert [r.status for r in before] == ["open"]
    state, item = await bench.work(item)
    assert state.is_paused()
    (doubt,) = await bench.store.cards(item=item.item)
    assert (doubt.kind, doubt.key) == ("in_doubt", card.key)
    answer(bench, item, doubt, "abandon", "it is there already")
    state, item = await bench.work(item)
    await told_everywhere(bench, state, item, "in_doubt", "it is there already", "claimed: noor")
    (tried,) = [r for r in await bench.ledger(item) if r.name == card.tool]
    assert (tried.attempt, tried.status) == (1, "unknown")


async def a_process_dies_in(bench: Bench, item: ItemRow, card: Card, now: int) -> None:
    """A life that had the comment admitted two minutes ago, and was killed before it settled anything."""
    claimed = await bench.store.claim(
        item.item, flow_run=str(item.flow_run), now=now, lease=now, max_lives=10
    )
    assert isinstance(claimed, Claimed)
    asked = next(e for e in claimed.journal if e.kind == "model")
    place = replace(asked.place, ordinal=1)
    assert place.key == card.key
    admitted = await bench.store.intend(
        Intent(
            place=place, kind="tool", name=card.tool, principal=card.by, rule="approved", head=asked.head_after,
            args=card.arguments, fence=claimed.item.fence, now=now - 120_000, send_by=now - 119_000,
            lease=now - 60_000, repeatable=False, card=card.card, tool_digest=card.tool_digest,
        )
    )  # fmt: skip
    assert isinstance(admitted, Admitted)


async def test_a_connector_that_is_away_ends_the_item_before_a_model_is_asked(bench: Bench) -> None:
    await bench.begin("no-tickets", TICKETS, **ONE)
    found = await one_item(bench, TICKETS)
    there = f"{bench.forge_url}/linear/mcp"
    await bench.save("linear", McpServer(url="http://127.0.0.1:9/mcp"))
    try:
        state, item = await bench.work(found)
    finally:
        await bench.save("linear", McpServer(url=there, token=SecretStr(bench.keys.forge)))
    await told_everywhere(bench, state, item, "unavailable", "linear")
    assert await bench.ledger(item) == []


async def test_a_repository_that_is_not_there_ends_the_item_before_anything_is_paid(
    bench: Bench,
) -> None:
    await bench.begin("no-repository", FIX)
    found = await one_item(bench, FIX)
    away = bench.repository.with_name("away.git")
    bench.repository.rename(away)
    try:
        state, item = await bench.work(found)
    finally:
        away.rename(bench.repository)
    await told_everywhere(
        bench, state, item, "refused_outside", "does not appear to be a git repository",
        "'repository/northwind-api'", "`loops connect repository northwind-api --replace`",
    )  # fmt: skip
    assert await bench.ledger(item) == []


async def test_where_nothing_isolates_an_item_ends_within_seconds_with_the_install_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await bench.begin("no-isolation", FIX)
    found = await one_item(bench, FIX)
    for name in ("git", "sh"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    began = time.monotonic()
    state, item = await bench.work(found)
    assert time.monotonic() - began < 30
    await told_everywhere(bench, state, item, "environment_broken", "'apt-get install bubblewrap'")
    assert await bench.ledger(item, "model") == []


@pytest.mark.docker
class TestOfALoopWithAGoal:
    """These need the sandbox."""

    async def test_a_finding_that_does_not_fail_is_not_reproduced(self, bench: Bench) -> None:
        await bench.begin("green", FIX, goal={"verify": "true"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "not_reproduced", "No maker was asked.")
        assert await bench.ledger(item, "model") == []

    async def test_a_failure_that_is_another_one_is_not_reproduced(self, bench: Bench) -> None:
        await bench.begin("other", FIX, goal={"verify": "echo something else; exit 1"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "not_reproduced", "but not as reported")

    async def test_an_environment_that_cannot_run_the_verifier_is_broken(
        self, bench: Bench
    ) -> None:
        await bench.begin("broken", FIX, goal={"verify": "no-such-verifier"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(
            bench, state, item, "environment_broken", "exit code 127", "Mend workspace.setup"
        )
        assert await bench.ledger(item, "model") == []

    async def test_rounds_end(self, bench: Bench) -> None:
        await bench.begin("rounds", FIX, goal={"max_rounds": 1}, play={"draft/v2": "idle"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "rounds", "1 rounds", "nothing was changed")
        assert {r.principal.role for r in await bench.ledger(item, "model")} == {"maker"}

    async def test_the_same_tree_twice_is_a_stall(self, bench: Bench) -> None:
        await bench.begin("tree", FIX, goal={"max_rounds": 5}, play={"draft/v2": "idle"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "stalled", "the same tree")
        assert item.outcome is not None
        assert item.outcome["actions"] == []

    async def test_a_checker_may_end_it(self, bench: Bench) -> None:
        await bench.begin("checker", FIX, play={"review/v1": "reject"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "checker", "this is not a defect")
        assert [r.name for r in await bench.ledger(item, "push")] == []

    async def test_a_checker_that_gives_no_verdict_ends_it(self, bench: Bench) -> None:
        await bench.begin("babble", FIX, play={"review/v1": "babble"})
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "malformed", "the verdict")
        kinds = [e.kind for e in await bench.store.evidence(item.item)]
        assert kinds == ["base", "verified"]

    async def test_a_denied_delivery_ends_it(self, bench: Bench) -> None:
        await bench.begin(
            "denied", FIX, harness={"approvals": {"github.create_pull_request": "deny"}}
        )
        state, item = await bench.work(await one_item(bench, FIX))
        await told_everywhere(bench, state, item, "denied", "github.create_pull_request")
        assert state.is_cancelled()

    async def test_a_person_may_say_no(self, bench: Bench) -> None:
        await bench.begin(
            "rejected",
            FIX,
            harness={"approvals": {"github.create_pull_request": "pause_for_human"}},
        )
        state, item = await bench.work(await one_item(bench, FIX))
        assert item.status == "waiting"
        assert state.is_paused()
        (card,) = await bench.store.cards(item=item.item)
        answer(bench, item, card, "reject", "not on a Friday")
        state, item = await bench.work(item)
        await told_everywhere(bench, state, item, "rejected", "not on a Friday", "claimed: noor")
        assert state.is_cancelled()
        assert not [r for r in await bench.ledger(item) if r.name == card.tool]

    async def test_an_approval_does_not_outlive_the_evidence_it_was_given_on(
        self, bench: Bench
    ) -> None:
        await bench.begin("outlived", FIX)
        state, item = await bench.work(await one_item(bench, FIX))
        assert state.is_paused()
        (card,) = await bench.store.cards(item=item.item)
        assert card.tool == "github.merge_pull_request"
        # Somebody verifies the same tree again while a person thinks, and it fails.
        await bench.store.record(
            Place(item.run, item.item, 1, "verified-again", 0, 0), kind="step", name="verify", head=EMPTY_HEAD,
            head_after=EMPTY_HEAD, args={}, result={}, labels=(), fence=item.fence, now=card.asked_at,
            evidence=(Evidence("verified", str(card.tree), "failed", "verifier", "flaky"),),
        )  # fmt: skip
        answer(bench, item, card, "approve", "fine")
        state, item = await bench.work(item)
        await told_everywhere(
            bench, state, item, "verifier", "needs verified = 'passed'", "verdict is 'failed'"
        )
        assert state.is_failed()
        assert not [r for r in await bench.ledger(item) if r.name == card.tool]
