"""A person decides, once, and only what they decided happens; nobody's silence is a yes."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from demo.prefect_api import PrefectApi
from demo.world import DemoWorld
from governance.records import ItemRow
from tests.flows.farside import ended, merges, propose, requests, spoken, to_the_card, until
from tests.flows.registries import merger, registry_with
from tests.flows.telling import told
from tests.flows.worlds import playing

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    home = tmp_path_factory.mktemp("approvals")
    loops = [merger(f"merge-{n}") for n in ("rejected", "twice", "by-cli")]
    registry = registry_with(home / "registry", [*loops, merger("merge-unanswered", "1m")])
    with playing(home / "world", registry=registry) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
async def unanswered(world: DemoWorld) -> tuple[ItemRow, int]:
    """A card that nobody answers while the other tests run; its item, and the pull request it is about."""
    number = propose(world, "unanswered")
    with told(world, "merge-unanswered") as story:
        item, card = await to_the_card(story)
    assert card.deadline == card.asked_at + 60_000
    return item, number


def send(world: DemoWorld, item: ItemRow, form: dict[str, str]) -> str:
    """One form as the UI sends it: `ACCEPT`, `REJECT`, `ABORT`, or the status of an HTTP refusal."""
    with closing(PrefectApi(world.api_url, world.keys.prefect)) as api:
        try:
            return str(api.resume(str(item.flow_run), form)["status"])
        except httpx.HTTPStatusError as refused:
            return str(refused.response.status_code)


async def test_a_reject_stops_the_item_and_nothing_is_merged(world: DemoWorld):
    number = propose(world, "not-wanted")
    with told(world, "merge-rejected") as story:
        item, card = await to_the_card(story)
        form = {f"card_{card.card}": "reject", "approver": "noor", "reason": "not tonight, Theo"}
        assert send(world, item, form) == "ACCEPT"
        item = await ended(story, item)
        assert item.status == "stopped"
        assert item.stop is not None
        assert item.stop.reason == "rejected"
        assert "not tonight, Theo" in item.stop.detail
        run = await until("a final state", lambda: final(story.api.flow_run(str(item.flow_run))))
        assert (run["state"]["type"], run["state"]["name"]) == ("CANCELLED", "Rejected")
        answered = await story.store.card(card.card)
        assert answered is not None
        assert (answered.answer, answered.answered_by) == ("reject", "claimed: noor")
        assert answered.used_by is None
    assert merges(world, number) == []
    last = requests(world, "/merge-rejected/")[-1]
    assert "not tonight, Theo" in spoken(last), "the agent is told why"


async def test_a_form_that_does_not_fit_is_refused_and_the_run_goes_on_waiting(world: DemoWorld):
    """And then two people press the button at once: it is merged once."""
    number = propose(world, "wanted")
    with told(world, "merge-twice") as story:
        item, card = await to_the_card(story)
        field = f"card_{card.card}"
        for wrong in (
            {},
            {field: "approve"},
            {field: "maybe", "approver": "noor"},
            {"approver": "noor"},
            {field: "approve", "approver": ""},
            {field: "approve", "approver": "noor", "card_c000000000000": "approve"},
        ):
            assert send(world, item, wrong) == "REJECT", wrong
        assert story.api.flow_run(str(item.flow_run))["state"]["name"] == "Suspended"
        still = await story.store.card(card.card)
        assert still is not None
        assert still.answer is None

        form = {field: "approve", "approver": "noor", "reason": "seen"}
        both = await asyncio.gather(*(asyncio.to_thread(send, world, item, form) for _ in range(2)))
        assert "ACCEPT" in both
        item = await ended(story, item)
        assert (item.status, item.stop) == ("done", None)
        assert send(world, item, form) != "ACCEPT", "a third press, after the end"
    (merge,) = merges(world, number)
    assert merge["key"] == card.key
    assert not merge["replayed"]


async def test_an_approval_by_the_command_line_wakes_the_run_and_people_are_told_once(
    world: DemoWorld,
):
    number = propose(world, "by-cli")
    with told(world, "merge-by-cli") as story:
        item, card = await to_the_card(story)
        assert merges(world, number) == []
        said = world.run("loops", "approve", card.card, "--yes", "--as", "ines@northwind.example")
        assert "The waiting run is woken." in said.stdout
        item = await ended(story, item)
        assert item.status == "done"
        answered = await story.store.card(card.card)
        assert answered is not None
        assert "ines@northwind.example" in str(answered.answered_by)
        assert answered.used_by == card.key
    assert len(merges(world, number)) == 1

    subjects = await until("the run's notice", lambda: told_of(world, "merge-by-cli", 2))
    asked = "merge-by-cli: github.merge_pull_request waits for you"
    over = f"merge-by-cli: run {item.run} is over"
    assert subjects == {asked: 1, over: 1}
    bodies = {n["subject"]: n["body"] for n in world.receiver.notices}
    for said_of_it in (
        "Cost so far: 0.0",
        "Deadline: 20",
        f"{world.ui_url}/runs/flow-run/{item.flow_run}",
        f"loops approve {card.card}",
    ):
        assert said_of_it in bodies[asked]
    assert "Cost: 0.0" in bodies[over]
    assert f"{world.ui_url}/runs/flow-run/" in bodies[over]
    again = world.run("loops", "approve", card.card, "--yes", check=False)
    assert again.returncode == 1
    assert "answered already" in again.stderr


async def test_a_card_that_nobody_answers_ends_the_item_by_its_deadline_and_never_as_done(
    world: DemoWorld, unanswered: tuple[ItemRow, int]
):
    """No word of ours is needed: housekeeping runs by its own schedule."""
    item, number = unanswered
    with told(world, "merge-unanswered") as story:
        item = await ended(story, item)
        assert item.status == "stopped"
        assert item.stop is not None
        assert item.stop.reason == "expired"
        run = await until("a final state", lambda: final(story.api.flow_run(str(item.flow_run))))
        assert (run["state"]["type"], run["state"]["name"]) == ("CANCELLED", "Expired")
        (card,) = await story.store.cards(item=item.item, open_only=False)
        assert (card.answer, card.answered_by) == ("reject", "deadline")
        late = world.run("loops", "approve", card.card, "--yes", check=False)
        assert late.returncode == 1
        assert "expired" in late.stderr
    assert merges(world, number) == []


def final(run: dict[str, dict[str, str]]) -> dict[str, dict[str, str]] | None:
    """The flow run once its state is a last one."""
    last = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
    return run if run["state"]["type"] in last else None


def told_of(world: DemoWorld, loop: str, at_least: int) -> Counter[str] | None:
    """How often each notice of a loop arrived, once there are so many."""
    subjects = [
        n["subject"] for n in world.receiver.notices if n["subject"].startswith(f"{loop}: ")
    ]
    return Counter(subjects) if len(subjects) >= at_least else None
