"""New code, new rules, a rotated key under an item that waits: nothing is done twice, and it is told what is different."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from blocks import McpServer
from governance.briefs import item_brief, lead_brief, maker_brief
from governance.records import Card, ItemRow
from tests.flows.bench import Bench
from tests.flows.farside import calls

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Prefect 3.8.8 leaves a socket to its server open when a flow is suspended within a process that lives on.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOOP, FIX = "ticket-triage", "night-fix"
ONE: dict[str, Any] = {"find": {"max_items": 1, "arguments": {"state": "all"}}}
ASKS: dict[str, Any] = {
    "harness": {"max_steps": 60, "approvals": {"linear.label_ticket": "pause_for_human"}}
}
COMMENTS, LABELS = "linear.comment_ticket", "linear.label_ticket"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("new-code")) as running:
        yield running


async def waiting(bench: Bench, name: str) -> tuple[ItemRow, Card]:
    """An item whose comment is made and whose label waits for a person."""
    await bench.begin(name, LOOP, **ONE, **ASKS)
    _, _, (item,) = await bench.heartbeat(LOOP)
    state, item = await bench.work(item)
    assert state.is_paused(), item.stop
    (card,) = await bench.store.cards(item=item.item)
    assert (card.kind, card.tool) == ("approval", LABELS)
    return item, card


def say(bench: Bench, item: ItemRow, **answers: str) -> str:
    form = {f"card_{card}": said for card, said in answers.items()}
    return bench.api.resume(str(item.flow_run), {**form, "approver": "noor", "reason": "I read it"})["status"]  # fmt: skip


def told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """New code: the lead is asked in other words."""

    def brief(*args: Any, **kwargs: Any) -> str:
        return item_brief(*args, **kwargs) + "\nBe quick."

    monkeypatch.setattr("tasks.lanes.item_brief", brief)


async def diverged(bench: Bench, item: ItemRow) -> Card:
    state, item = await bench.again(item)
    assert state.is_paused(), item.stop
    assert (item.status, item.stop) == ("waiting", None), "it is parked, not ended"
    (card,) = [c for c in await bench.store.cards(item=item.item) if c.kind == "diverged"]
    return card


async def test_a_round_that_fits_the_code_no_more_waits_and_begins_anew_by_a_persons_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, asked = await waiting(bench, "restarted")
    before = await bench.ledger(item)
    paid = bench.bill()["calls"]
    told_otherwise(monkeypatch)
    card = await diverged(bench, item)
    assert card.key == f"{item.item}-0-lead-0-0"
    assert card.arguments["recorded"].startswith("asked at head ")
    assert card.facts is not None
    again = card.facts["again"]
    assert (again["model_calls"], again["writes"]) == (2, [COMMENTS])
    assert float(again["cost_usd"]) == pytest.approx(sum(r.cost or 0 for r in before) / 1e12)
    assert bench.bill()["calls"] == paid, "nothing was asked while nobody had answered"
    shown = await bench.shown(await bench.item(item))
    for text in ("paid again", "2 model calls", COMMENTS):
        assert text in shown, text
    assert "restart the round" in str(bench.api.form(str(item.flow_run)))

    assert say(bench, item, **{card.card: "restart the round", asked.card: "later"}) == "ACCEPT"
    state, item = await bench.work(item)
    assert state.is_paused(), item.stop
    assert item.restarts == ((0, 1),)
    (fresh,) = await bench.store.cards(item=item.item)
    assert (fresh.kind, fresh.tool, fresh.key.split("-")[1]) == ("approval", LABELS, "1")
    old = await bench.store.card(asked.card)
    assert old is not None
    assert (old.answer, old.answered_by, old.reason) == (
        "reject",
        "loop",
        "its round was begun anew",
    )
    assert say(bench, item, **{fresh.card: "approve"}) == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    rows = await bench.ledger(item)
    assert rows[: len(before)] == before, "what was paid stays on the ledger"
    assert len({r.key for r in rows}) == len(rows)
    made = [c for c in calls(bench, connector="linear") if str(c["key"]).startswith(item.item)]
    writes = [c["tool"] for c in made if c["tool"] in ("comment_ticket", "label_ticket")]
    assert sorted(writes) == ["comment_ticket", "label_ticket"], (
        "the same comment is not made again"
    )
    assert not any(c["replayed"] for c in made)


async def test_a_round_that_is_abandoned_ends_its_item_as_diverged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, _ = await waiting(bench, "abandoned")
    told_otherwise(monkeypatch)
    card = await diverged(bench, item)
    told = await bench.loops("resolve", card.card, "abandon", "--as", "noor", "--reason", "too old")
    assert told["woken"] is True
    state, item = await bench.work(item)
    assert (state.is_failed(), state.name) == (True, "Diverged")
    assert item.stop is not None
    assert item.stop.reason == "diverged"
    assert "abandoned it: too old" in item.stop.detail


async def test_old_code_again_and_the_item_goes_on_as_if_nothing_had_been(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, asked = await waiting(bench, "rolled-back")
    with monkeypatch.context() as new_code:
        told_otherwise(new_code)
        await diverged(bench, item)
    await bench.store.answer(asked.card, answer="approve", by="noor", reason="", now=asked.asked_at)
    state, item = await bench.again(item)
    assert (state.is_completed(), item.status) == (True, "done")
    assert len([r for r in await bench.ledger(item, "model")]) == 3


async def test_a_heartbeat_that_fits_the_code_no_more_ends_for_a_reason_and_the_next_one_looks_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has nobody to wait for; what it would have found is there for the next one to find."""
    await bench.begin("heartbeat", LOOP, **ONE)
    run = await bench.open_heartbeat(LOOP)
    with monkeypatch.context() as dying:
        dying.setattr("flows.heartbeat.put_in_inbox", None)
        await bench.run_heartbeat(run)
    assert bench.api.flow_run(run.flow_run)["state"]["type"] == "FAILED", "after its lead answered"

    def brief(*args: Any) -> str:
        return lead_brief(*args) + "\nBe quick."

    monkeypatch.setattr("tasks.lanes.lead_brief", brief)
    paid = bench.bill()["calls"]
    bench.api.force(run.flow_run, "SCHEDULED")
    await bench.run_heartbeat(run)
    (ended,) = await bench.store.runs(loop=LOOP)
    assert ended.stop is not None
    assert (ended.status, ended.stop.reason) == ("closed", "diverged")
    assert f"effect '{run.run}-0-lead-0-0' is on record as asked at head" in ended.stop.detail
    state = bench.api.flow_run(run.flow_run)["state"]
    assert (state["name"], state["message"]) == ("Diverged", ended.stop.detail)
    assert (await bench.store.items(), bench.bill()["calls"]) == ((), paid)
    told = [n["body"] for n in bench.receiver.notices if run.run in n["subject"]]
    assert any("stopped (diverged)" in body for body in told), told

    _, after, found = await bench.heartbeat(LOOP)
    assert (after.stop, len(found)) == (None, 1), "the next slot is not touched by it"


@pytest.mark.docker
async def test_a_round_of_a_maker_begins_anew_on_the_kept_files_and_proposes_nothing_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.begin("fix", FIX)
    _, _, (item,) = await bench.heartbeat(FIX)
    state, item = await bench.work(item)
    assert state.is_paused(), item.stop
    kept = item.state

    def brief(*args: Any, **kwargs: Any) -> str:
        return maker_brief(*args, **kwargs) + "\nBe quick."

    monkeypatch.setattr("tasks.lanes.maker_brief", brief)
    card = await diverged(bench, item)
    assert (card.tool, card.key) == ("round 1", f"{item.item}-1-maker-0-0")
    assert card.facts is not None
    pushed = f"looprail/{FIX}/{item.item}"
    assert card.facts["again"]["writes"] == [pushed, "github.create_pull_request"]
    assert (await bench.item(item)).state == kept
    told = await bench.loops("resolve", card.card, "restart", "--as", "noor")
    assert told["answer"] == "restart"
    state, item = await bench.work(item)
    assert state.is_paused(), item.stop
    assert item.restarts == ((1, 1),)
    (merge,) = await bench.store.cards(item=item.item)
    assert (merge.tool, merge.key) == ("github.merge_pull_request", f"{item.item}-2-deliver-1-0")
    entries = {e.key: e for e in await bench.store.entries(item.item)}
    assert "made-before" in entries[f"{item.item}-2-deliver-0-0"].labels
    bases = [r for r in await bench.ledger(item) if r.name == "verify base"]
    assert len(bases) == 1, "rounds before it are not begun anew"
    assert say(bench, item, **{merge.card: "approve"}) == "ACCEPT"
    state, item = await bench.work(item)
    assert (state.is_completed(), item.status) == (True, "done")
    keyed = [c["tool"] for c in calls(bench, connector="github") if str(c["key"]).startswith(item.item)]  # fmt: skip
    writes = [t for t in keyed if t in ("create_pull_request", "merge_pull_request")]
    assert writes == ["create_pull_request", "merge_pull_request"]


def denied(bench: Bench, tool: str, reason: str) -> None:
    """A new rule of the organisation."""
    file = bench.registry / "org.yaml"
    told = yaml.safe_load(file.read_text())
    told["rules"].append({"tool": tool, "effect": "deny", "reason": reason})
    file.write_text(yaml.safe_dump(told, sort_keys=False))


async def test_what_changed_while_it_waited_is_told_before_it_goes_on_and_the_tighter_rule_wins(
    bench: Bench,
) -> None:
    item, card = await waiting(bench, "changed")
    assert item.noted is not None
    denied(bench, "*.label_*", "labels are frozen")
    loop = bench.registry / "loops" / f"{LOOP}.yaml"
    loop.write_text(loop.read_text().replace("max_minutes: 15", "max_minutes: 16"))
    token = SecretStr("a-token-that-was-rotated")
    await bench.save("linear", McpServer(url=f"{bench.forge_url}/linear/mcp", token=token))
    await bench.save("linear", McpServer(url=f"{bench.forge_url}/linear/mcp", token=SecretStr(bench.keys.forge)))  # fmt: skip
    assert say(bench, item, **{card.card: "approve"}) == "ACCEPT"
    state, item = await bench.work(item)
    assert state.name in ("Done", "Denied"), state
    told = (await bench.loops("trace", item.item))["changes"]
    assert any(c.startswith("the definition in the registry is ") for c in told), told
    assert any(c.startswith("rule added: ") and "labels are frozen" in c for c in told), told
    assert any(c.startswith("credential mcp-server/linear was changed at ") for c in told), told
    assert not any("linear/mcp" in c or "rotated" in c for c in told), "never an address or a key"
    assert len(told) == 3, told
    refused = [c for c in calls(bench, tool="label_ticket") if c["key"] == card.key]
    assert refused == [], "what a person approved yesterday is denied today"
    entries = await bench.store.entries(item.item)
    (note,) = [e for e in entries if e.kind == "note"]
    assert note.result is not None
    assert list(note.result["changes"]) == told


async def test_nothing_changed_is_nothing_told_and_an_item_that_waits_again_shows_what_did(
    bench: Bench,
) -> None:
    item, _ = await waiting(bench, "shown")
    assert (await bench.again(item))[0].is_paused()
    assert (await bench.loops("trace", item.item))["changes"] == []
    denied(bench, "*.close_*", "nothing is closed")
    assert (await bench.again(item))[0].is_paused()
    shown = await bench.shown(await bench.item(item))
    assert "Changed while it waited before" in shown
    assert "nothing is closed" in shown
    assert (await bench.again(item))[0].is_paused()
    assert len((await bench.loops("trace", item.item))["changes"]) == 1, "each change is told once"
