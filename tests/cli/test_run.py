"""`loops run` fires a loop and shows what becomes of it; leaving the view leaves the run alone."""

import asyncio
import io
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from rich.console import Console

from cli.follow import Seen, Watched, picture
from cli.inbox import Standing
from cli.spent import Spent
from demo.processes import program
from demo.world import DemoWorld
from governance.effects import Stop
from governance.records import ItemRow
from tests.cli.filled import ROOT, Filled

T = TypeVar("T", bound=Callable[..., object])


def in_a_world(test: T) -> T:
    """Needs a Prefect server and a worker, and takes its time."""
    return pytest.mark.prefect(pytest.mark.slow(pytest.mark.timeout(300)(test)))


def seen(morning: Filled, *statuses: str, ended: bool = True, succeeded: bool = True) -> Seen:
    items = asyncio.run(morning.store.items(run="r1"))
    cards = asyncio.run(morning.store.cards(item=morning.waiting))

    def watched(item: ItemRow, status: Any) -> Watched:
        stop = Stop("rounds", "3 rounds") if status == "stopped" else None
        shown = Standing(replace(item, status=status, stop=stop), Spent(10**11, 1), ())
        return Watched(shown, "maker: model claude done", cards if status == "waiting" else ())

    run = asyncio.run(morning.store.run("r1"))
    told = tuple(watched(item, status) for item, status in zip(items, statuses, strict=False))
    return Seen("triage", "Done" if succeeded else "Failed", ended, succeeded, run, told, Spent())


@pytest.mark.parametrize(
    ("statuses", "ended", "succeeded", "over", "well"),
    [
        (("done", "waiting"), True, True, True, True),
        (("done", "stopped"), True, True, True, False),
        (("done", "working"), True, True, False, False),
        (("found",), True, True, False, False),
        (("kept_back", "kept_back"), True, False, True, False),
        (("done",), False, False, False, False),
        ((), True, True, True, True),
        ((), True, False, True, False),
    ],
)
def test_it_is_over_when_nothing_happens_without_a_person(
    morning: Filled, statuses: tuple[str, ...], ended: bool, succeeded: bool, over: bool, well: bool
):
    told = seen(morning, *statuses, ended=ended, succeeded=succeeded)
    assert (told.over, told.well) == (over, well)


def test_the_view_shows_items_and_where_a_card_is_answered_and_nothing_styles_it(morning: Filled):
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=False).print(
        picture(seen(morning, "waiting", "stopped"), 65_000)
    )
    text = out.getvalue()
    assert "triage, run r1: heartbeat Done" in text
    assert morning.waiting in text
    assert "stopped (rounds)" in text
    assert "0.1000 USD + 1 unknown" in text
    assert f"/runs/flow-run/flow-1 or loops approve {morning.card}" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "maker: model claude done" in text


def test_square_brackets_of_others_are_shown_and_not_obeyed(morning: Filled):
    told = seen(morning, "done")
    (watched,) = told.items
    loud = replace(
        told, items=(replace(watched, step="lead: tool [bold red]x[/] [link=http://evil]y[/link]"),)
    )
    out = io.StringIO()
    Console(file=out, width=300, force_terminal=True).print(picture(loud, 0))
    assert "[bold red]x[/] [link=http://evil]y[/link]" in out.getvalue()


def test_without_prefect_nothing_is_fired_and_the_way_out_is_told(morning: Filled):
    done = morning.run("run", "night-fix")
    assert done.exit_code == 1
    assert "Prefect at http://127.0.0.1:9/api" in str(done.exception)
    assert "prefect server start" in str(done.exception)


def loops(world: DemoWorld, *words: str) -> subprocess.CompletedProcess[str]:
    return world.run("loops", *words, check=False)


def flow_run(world: DemoWorld, name: str) -> dict[str, Any]:
    listed = world.run("prefect", "flow-run", "inspect", name, "--output", "json")
    return json.loads(listed.stdout)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoWorld]:
    """A small organisation in which nobody works yet."""
    with DemoWorld(tmp_path_factory.mktemp("world"), workers=0) as started:
        yield started


@pytest.fixture(scope="module")
def fired(world: DemoWorld) -> dict[str, Any]:
    """The first run that was fired, once a worker polls; `loops run` refuses until then."""
    world.start_worker("worker-0")
    until = time.monotonic() + 90
    while (done := loops(world, "run", "ticket-triage", "--json")).returncode:
        assert "no worker polls" in done.stderr, done.stderr
        assert time.monotonic() < until
    return json.loads(done.stdout)


@in_a_world
def test_a_run_nobody_would_take_up_is_not_fired(world: DemoWorld):
    done = loops(world, "run", "ticket-triage")
    assert done.returncode == 1
    assert "no worker polls work pool 'loops'; nothing was fired" in done.stderr
    assert "prefect worker start --pool loops" in done.stderr
    assert "ticket-triage" not in world.run("prefect", "flow-run", "ls").stdout


@in_a_world
def test_a_loop_that_is_not_deployed_is_told_with_the_nearest(world: DemoWorld):
    done = loops(world, "run", "tiket-triage")
    assert done.returncode == 1
    assert "loop 'tiket-triage' is not deployed" in done.stderr
    assert "Did you mean 'ticket-triage'?" in done.stderr
    assert world.keys.prefect not in done.stderr


@in_a_world
def test_a_fired_run_is_named_and_linked(world: DemoWorld, fired: dict[str, Any]):
    assert fired["loop"] == "ticket-triage"
    assert fired["url"] == f"{world.ui_url}/runs/flow-run/{fired['flow_run']}"
    # A run that has begun bears the name of its loop.
    named = flow_run(world, fired["flow_run"])["name"]
    assert named in (fired["name"], "ticket-triage: heartbeat")


@in_a_world
def test_a_paused_pool_fires_nothing(world: DemoWorld, fired: dict[str, Any]):
    world.run("prefect", "work-pool", "pause", "loops")
    done = loops(world, "run", "ticket-triage")
    world.run("prefect", "work-pool", "resume", "loops")
    assert done.returncode == 1
    assert "work pool 'loops' is paused; nothing was fired" in done.stderr


@in_a_world
def test_leaving_the_view_leaves_the_run_alone(world: DemoWorld, fired: dict[str, Any]):
    until = time.monotonic() + 180
    while flow_run(world, fired["flow_run"])["state_type"] != "COMPLETED":
        assert time.monotonic() < until
    with subprocess.Popen(
        [program("loops"), "run", "ticket-triage", "--follow"], cwd=ROOT, env=world.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ticket-triage: fired as flow run ")
        name = process.stdout.readline().strip().rpartition("/")[2]
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "No longer watching; the run goes on" in errors
    while (state := flow_run(world, name)["state_type"]) != "COMPLETED":
        assert state in ("SCHEDULED", "PENDING", "RUNNING")
        assert time.monotonic() < until + 120


@in_a_world
@pytest.mark.bwrap
def test_a_card_is_followed_answered_and_its_run_woken(world: DemoWorld, fired: dict[str, Any]):
    followed = loops(world, "run", "night-fix", "--follow", "--json")
    assert followed.returncode == 0, followed.stderr
    told = json.loads(followed.stdout)
    assert (told["well"], told["state"]) == (True, "Done")
    (item,) = told["items"]
    assert item["status"] == "waiting"
    (card,) = item["cards"]
    shown = loops(world, "approvals", card[:8])
    assert "github.merge_pull_request" in shown.stdout
    assert "verified: passed by verifier" in shown.stdout
    answered = loops(world, "approve", card[:8], "--as", "noor@northwind.example", "--json")
    assert answered.returncode == 0, answered.stderr
    assert json.loads(answered.stdout)["woken"] is True
    until = time.monotonic() + 120
    while flow_run(world, item["flow_run"])["state_type"] in (
        "PAUSED",
        "SCHEDULED",
        "PENDING",
        "RUNNING",
    ):
        assert time.monotonic() < until
    traced = json.loads(loops(world, "trace", told["run"], "--json").stdout)
    (ended,) = traced["items"]
    assert (ended["status"], ended["stop"]) == ("done", None)
    assert ended["cards"][0]["answered_by"] == "claimed: noor@northwind.example"
    assert float(ended["cost_usd"]) > 0
