"""Every way to fire a loop has the same guarantee: the same delivery twice is one run. Real server, worker, gateway."""

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from demo.processes import Process, free_port, program
from demo.story import Story
from demo.world import ROOT, DemoWorld
from governance.records import RunRow
from governance.signatures import sign
from tests.flows.farside import bill, flow_runs, until
from tests.flows.registries import registry_with
from tests.flows.telling import told
from tests.flows.worlds import playing

pytestmark = [pytest.mark.prefect, pytest.mark.slow, pytest.mark.timeout(600)]

QUIET = """\
name: {name}
intent: No merged pull request goes unseen.
owner: noor@northwind.example
team: platform
model: claude-sonnet-4-6
instructions: triage.md@v4
mcp_servers: {{github: [list_pull_requests]}}
find: {{tool: github.list_pull_requests, arguments: {{state: merged}}, each: pull-request}}
trigger: {trigger}
"""
"""Its look sees nothing, so no model is asked and a heartbeat is over at once."""
SECRET = "whsec_" + "c2VjcmV0" * 4
NASTY = {
    "note": "{{ flow_run.id }}",
    "of": {"__prefect_kind": "workspace_variable", "variable_name": "x"},
}
"""What Prefect would render, or look up, were it passed on as an object."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    home = tmp_path_factory.mktemp("ways-in")
    intake = "{event: northwind.build.failed, webhook: ci}"
    loops = [
        (n, QUIET.format(name=n, trigger=t))
        for n, t in (("intake", intake), ("one-at-a-time", "{}"))
    ]
    registry = registry_with(home / "registry", loops)
    with playing(home / "world", registry=registry) as running:
        yield running


@pytest.fixture
def story(world: DemoWorld) -> Iterator[Story]:
    with told(world, "intake") as running:
        yield running


async def the_run(story: Story, delivery: str) -> RunRow:
    """The one run of a delivery, once all flow runs of its loop are over."""

    async def closed() -> RunRow | None:
        runs = [
            r for r in await story.store.runs(loop=story.loop) if r.slot == f"delivery-{delivery}"
        ]
        over = [r["state"]["type"] for r in flow_runs(story.world, f"heartbeat/{story.loop}")]
        if not runs or not set(over) <= {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"}:
            return None
        (run,) = runs
        return run if run.status == "closed" else None

    return await until(f"the run of {delivery}", closed, 200)


async def test_an_event_is_one_delivery_however_often_it_is_reported(story: Story):
    event = {
        "id": str(uuid4()), "event": "northwind.build.failed", "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": "northwind.build.4711"}, "payload": NASTY,
    }  # fmt: skip
    user, _, password = story.world.keys.prefect.partition(":")
    for _ in range(2):
        sent = httpx.post(
            f"{story.world.api_url}/events", json=[event], auth=(user, password), timeout=30
        )
        assert sent.status_code == 204, sent.text
    run = await the_run(story, event["id"])
    assert json.loads(str(run.payload)) == NASTY
    assert (run.summary, bill(story.world)["calls"]) == ("0 found", 0)


async def test_the_sdk_finds_the_flow_run_that_a_delivery_has(story: Story):
    before = len(flow_runs(story.world, "heartbeat/intake"))
    script = (
        "import json, looprail\n"
        f"told = json.loads({json.dumps(json.dumps(NASTY))})\n"
        "print(*{looprail.trigger('intake', delivery='build-4711', payload=told).flow_run for _ in range(3)})\n"
    )
    said = story.world.run("python", "-c", script).stdout.split()
    assert len(said) == 1
    run = await the_run(story, "build-4711")
    assert run.flow_run == said[0]
    assert json.loads(str(run.payload)) == NASTY
    assert len(flow_runs(story.world, "heartbeat/intake")) == before + 1


async def test_over_rest_the_same_delivery_twice_is_one_run_even_without_an_idempotency_key(
    story: Story,
):
    asked = {"loop": "intake", "delivery": "rest-1", "payload": "{}"}
    fired = [story.api.trigger("heartbeat/intake", asked) for _ in range(2)]
    assert len(set(fired)) == 2
    run = await the_run(story, "rest-1")
    ends = {f: story.api.flow_run(f)["state"] for f in fired}
    other = next(f for f in fired if f != run.flow_run)
    assert (ends[run.flow_run]["name"], ends[other]["name"]) == ("Done", "Cancelled")
    assert ends[other]["message"] == f"slot delivery-rest-1 is the run of flow run {run.flow_run}"


async def test_a_signed_webhook_fires_once_and_what_is_not_fires_nothing(story: Story):
    world = story.world
    subprocess.run(
        (program("loops"), "connect", "webhook", "ci", "--secret-env", "CI_SECRET"), cwd=ROOT, check=True,
        env={**world.environment(), "CI_SECRET": SECRET}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    port = free_port()
    gateway = Process(
        "gateway", (program("loops"), "serve", "--port", str(port)), log=world.home / "gateway.log",
        env=world.environment(), cwd=ROOT,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        gateway.wait_for(f"{url}/health", timeout_s=90)
        body = json.dumps(NASTY).encode()
        now = int(time.time())

        def post(secret: str = SECRET, at: int = now, loop: str = "intake") -> Any:
            headers = {
                "webhook-id": "msg_1", "webhook-timestamp": str(at),
                "webhook-signature": sign(secret, "msg_1", at, body),
            }  # fmt: skip
            return httpx.post(
                f"{url}/hooks/{loop}", content=body, headers=headers, timeout=60
            ).status_code

        before = len(flow_runs(world, "heartbeat/intake"))
        assert post("whsec_" + "eHh4" * 8) == 401
        assert post(at=now - 3600) == 401
        assert post(loop="one-at-a-time") == 404
        assert len(flow_runs(world, "heartbeat/intake")) == before
        assert [post(), post(), post(at=now + 1)] == [202, 409, 202]
        run = await the_run(story, "msg_1")
        assert run.payload == body.decode()
        assert len(flow_runs(world, "heartbeat/intake")) == before + 1
        counted = httpx.get(f"{url}/health", timeout=30).json()["requests"]
        assert counted == {
            "again": 1,
            "replayed": 1,
            "stale": 1,
            "taken": 1,
            "unknown": 1,
            "unsigned": 1,
        }
    finally:
        gateway.stop()
    assert SECRET not in (world.home / "gateway.log").read_text()


async def test_a_delivery_that_comes_while_a_heartbeat_is_under_way_waits_for_its_turn(
    world: DemoWorld,
):
    """The sender of each expects it to be handled, whatever the loop does about its slots."""
    loop = "one-at-a-time"
    with told(world, loop) as story:
        sent = [
            story.api.trigger(f"heartbeat/{loop}", {"loop": loop, "delivery": f"build-{n}"})
            for n in range(2)
        ]

        def over() -> list[Any]:
            states = [story.api.flow_run(f)["state"] for f in sent]
            return states if all(s["type"] in ("COMPLETED", "CANCELLED") for s in states) else []

        assert [s["name"] for s in await until("both", over, 200)] == ["Done", "Done"]
        runs = sorted(await story.store.runs(loop=loop), key=lambda r: r.opened_at)
        assert {r.slot for r in runs} == {"delivery-build-0", "delivery-build-1"}
        first, second = runs
        assert (first.closed_at or 0) <= second.opened_at
