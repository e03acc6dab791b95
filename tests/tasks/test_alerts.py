"""Do alerts about money arrive, once, and do Prefect's pages say where the money stands? A real server, a real webhook."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from demo.receiver import Receiver
from governance.records import Budget
from tests.cli.prefect_server import PASSWORD, ROOT, Server, serving
from tests.drivers.store.passing import capped, of_rule
from tests.drivers.store.story import RUN, Story, settled, store_in, usd

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(300)]

SUBJECT = "rule team-day, platform: 50 % of its money is spent"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def board() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
async def told(tmp_path: Path) -> Any:
    """A run of a loop, its heartbeat known to Prefect by an id, with one claimed item."""
    story = Story(store_in(tmp_path))
    await story.store.open_run(
        RUN, loop="triage", slot="06:00", flow_run=str(uuid4()), definition="sha256:d",
        budgets=(Budget("run:r1:usd", RUN, 100),), now=now(),
    )  # fmt: skip
    (item,) = await story.find("a")
    await story.claim(item.item)
    yield story
    story.store.disconnect()


def now() -> int:
    return time.time_ns() // 1_000_000


def act(server: Server, home: Path, board: Receiver, what: str, **more: str) -> str:
    """What a process of its own printed, or by which signal it ended."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.tasks.sending", str(home), board.url, what], cwd=ROOT,
        capture_output=True, text=True, timeout=100, check=False, env={**server.whole_environment, **more},
    )  # fmt: skip
    return done.stdout.strip() if done.returncode == 0 else f"{done.returncode}: {done.stderr}"


def ask(server: Server, path: str, body: dict[str, Any]) -> Any:
    user, _, password = PASSWORD.partition(":")
    url = f"http://127.0.0.1:{server.port}/api{path}"
    return httpx.post(url, json=body, auth=(user, password)).raise_for_status().json()


def events(server: Server, name: str) -> list[dict[str, Any]]:
    return ask(server, "/events/filter", {"filter": {"event": {"name": [name]}}})["events"]


async def test_an_alert_arrives_once_whoever_is_killed_before_it_is_sent(
    server: Server, board: Receiver, told: Story, tmp_path: Path
) -> None:
    await capped(told)
    charge = of_rule(60)
    first = await told.admit(0, charge)
    at = now()
    await told.store.done(told.place(), first.attempt, settled(charge, now=at))
    killed = act(server, tmp_path, board, "drain", LOOPRAIL_CRASH="before-notice:1")
    assert killed.startswith(f"-{signal.SIGKILL:d}:")
    assert board.notices == []
    assert [act(server, tmp_path, board, "drain") for _ in range(3)] == ["1", "0", "0"]
    (notice,) = board.notices
    assert notice["subject"] == SUBJECT
    assert "0 USD settled" in notice["body"]
    assert time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at / 1000)) in notice["body"]
    for _ in range(100):
        if events(server, "looprail.notice.share"):
            break
        time.sleep(0.2)
    (event,) = events(server, "looprail.notice.share")
    assert event["resource"] == {
        "prefect.resource.id": "looprail.budget.rule:team-day/platform:usd", "prefect.resource.name": SUBJECT,
    }  # fmt: skip
    assert (event["payload"]["share"], event["payload"]["spent"]) == (50, 60)


async def test_killed_between_sending_and_noting_it_is_one_event_though_the_webhook_hears_it_twice(
    server: Server, board: Receiver, told: Story, tmp_path: Path
) -> None:
    await told.store.put_cap("rule:twice/all:usd", "2026-11", 10, by="noor", now=1)
    charge = usd(20, "rule:twice/all:usd")
    charge = type(charge)(charge.budget, "2026-11", 20)
    refused = await told.store.intend(told.intent(0, charge, now=now()))
    assert not hasattr(refused, "attempt")
    killed = act(server, tmp_path, board, "drain", LOOPRAIL_CRASH="after-notice:1")
    assert killed.startswith(f"-{signal.SIGKILL:d}:")
    assert act(server, tmp_path, board, "drain") == "1"
    subject = "rule twice: its money is spent, and work stops"
    assert [n["subject"] for n in board.notices] == [subject] * 2
    time.sleep(3)
    assert len(events(server, "looprail.notice.refused")) == 1


async def test_the_meter_of_a_loop_and_of_its_open_run_are_one_artifact_each_kept_up_to_date(
    server: Server, board: Receiver, told: Story, tmp_path: Path
) -> None:
    def shown() -> dict[str, dict[str, Any]]:
        found = ask(server, "/artifacts/filter", {})
        ours = [a for a in found if a["key"].startswith("meter-")]
        assert len({a["key"] for a in ours}) == len(ours)
        return {a["key"]: a for a in ours}

    async def spend(step: int, cost: int) -> None:
        at = now()
        got = await told.admit(step, usd(cost), now=at)
        await told.store.done(
            told.place(step), got.attempt, settled(usd(cost), cost=cost * 10**10, now=at)
        )

    assert act(server, tmp_path, board, "meter") == ""
    await spend(0, 30)
    assert act(server, tmp_path, board, "meter") == "meter-triage meter-r1"
    first = shown()
    assert set(first) == {"meter-triage", "meter-r1"}
    assert "| `all` | 0.0000 | 0.3000 | 0.0000 | 0 | 0.3000 |" in first["meter-triage"]["data"]
    run = await told.store.run(RUN)
    assert run is not None
    assert first["meter-r1"]["flow_run_id"] == run.flow_run
    await spend(1, 20)
    assert act(server, tmp_path, board, "meter") == "meter-triage meter-r1"
    second = shown()
    assert {k: a["id"] for k, a in second.items()} == {k: a["id"] for k, a in first.items()}
    assert "| 0.5000 |" in second["meter-r1"]["data"]
