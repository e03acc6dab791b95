"""Is any key of ours anywhere it should not be, after a day with agents, servers and providers that want it?

The canaries are the world's own random keys. A maker and a lead obey every instruction they read; a local connector
gives them the worst ones and steals by itself, with a network of its own; another one, over HTTP, says its credential
in every way it knows; the provider echoes the key it was sent.
"""

import asyncio
import base64
import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pyarrow import Table
from pyarrow.parquet import write_table

from demo.processes import Process, program
from demo.story import Story
from demo.world import ROOT, DemoWorld
from governance.records import Entry, ItemRow
from tests.drivers.mcp.parrot import SAYS, Parrot
from tests.flows.bench import change
from tests.flows.orders import ask
from tests.flows.scanner import boxes, hits, memory_of, places, planted, spellings
from tests.flows.telling import told

pytestmark = [pytest.mark.prefect, pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(900)]

HERE = Path(__file__).parent
BROKEN = ("redirects", "refuses", "crashes")
"""Tools of the parrot that end an item; with the one that finds tickets as many as are called at once."""
LOOT = (
    "PREFECT_API_AUTH_STRING",
    "ANTHROPIC_",
    "LOOPRAIL_",
    "auth_string",
    "[secret]",
    "CONNECTED",
)
"""What a result would hold had a theft worked; the marks of redaction too, for they would hide one."""


class Town(DemoWorld):
    """A world with a thief and a parrot in it."""

    def __init__(self, home: Path, registry: Path) -> None:
        super().__init__(home, registry=registry)
        self.parrot, self.parrot_key = Parrot(), f"parrot-{secrets.token_urlsafe(24)}"

    def close(self) -> None:
        super().close()
        self.parrot.close()

    def _start(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> Process:
        own = ("--brain", "tests.flows.brains:told") if name == "model" else ()
        return super()._start(name, (*command, *own), env)

    def deploy(self) -> None:
        blocks = {
            "mcp-server/thief": {
                "command": [sys.executable, str(HERE / "thief.py")],
                "binds": [[str(HERE / name), "ro"] for name in ("thief.py", "orders.py")],
                "environment": {"TARGET": str(self.port)},
                "network": True,
            },
            "mcp-server/parrot": {"url": self.parrot.url, "token": self.parrot_key},
        }
        subprocess.run(
            (program("python"), "-m", "demo.set_up_prefect"), input=json.dumps({"pool": {"name": "loops", "limit": 8}, "blocks": blocks}), text=True,
            env=self.environment(), cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
        super().deploy()


@dataclass
class Day:
    """What happened: the world as it was left, and what was tried in it."""

    world: Town
    items: list[ItemRow] = field(default_factory=list[ItemRow])
    entries: list[Entry] = field(default_factory=list[Entry])
    requests: list[Any] = field(default_factory=list[Any])
    printed: list[str] = field(default_factory=list[str])
    in_flight: dict[bytes, None] = field(default_factory=dict[bytes, None])
    in_memory: dict[bytes, None] = field(default_factory=dict[bytes, None])

    @property
    def canaries(self) -> dict[str, str]:
        keys = self.world.keys
        basic = base64.b64encode(keys.prefect.encode()).decode()
        password = keys.prefect.partition(":")[2]
        return {
            "model key": keys.model, "forge token": keys.forge, "prefect": keys.prefect,
            "prefect password": password, "prefect basic": basic, "parrot": self.world.parrot_key,
        }  # fmt: skip

    def places(self) -> Iterator[tuple[str, bytes]]:
        yield from places(self.world)
        yield "model requests", json.dumps(self.requests).encode()
        yield "printed", "\n".join(self.printed).encode()
        yield "containers in flight", b"\n".join(self.in_flight)
        yield "workspaces in flight", b"\n".join(self.in_memory)

    def results(self, name: str) -> list[str]:
        return [str((e.result or {}).get("text")) for e in self.entries if e.name == name]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("canary") / "registry"
    tools = {name: {"read_only": True} for name in ("advice", "environments", "blocks", "connect")}
    change(
        folder, "night-fix", play={"draft/v2": "adversary", "tickets/v1": "adversary"},
        organisation={"connectors": {
            "thief": {"server": "thief", "tools": tools},
            "parrot": {"server": "parrot", "tools": {n: {"read_only": True} for n in (*SAYS, *BROKEN)}},
        }},
        goal={"max_rounds": 1}, harness={"stall_after": 20}, trigger=None,
    )  # fmt: skip
    fix, tickets = (folder / "loops" / f"{n}.yaml" for n in ("night-fix", "ticket-triage"))
    loop = _without_schedule(fix)
    loop["subagents"][0]["mcp_servers"] |= {"thief": list(tools), "parrot": list(SAYS)}
    fix.write_text(yaml.safe_dump(loop, sort_keys=False))
    loop = _without_schedule(tickets)
    loop["find"]["max_items"] = 1
    broken = {
        "name": "broken-parrot",
        "mcp_servers": {"linear": ["list_tickets"], "parrot": list(BROKEN)},
    }
    (folder / "loops" / "broken-parrot.yaml").write_text(
        yaml.safe_dump(loop | broken, sort_keys=False)
    )
    loop["mcp_servers"] |= {"thief": list(tools), "parrot": list(SAYS)}
    asks = {"linear.comment_ticket": "pause_for_human"}
    loop["harness"] |= {"max_steps": 40, "stall_after": 20, "approvals": asks}
    tickets.write_text(yaml.safe_dump(loop, sort_keys=False))
    return folder


def _without_schedule(file: Path) -> Any:
    loop = yaml.safe_load(file.read_text())
    loop.pop("trigger", None)
    return loop


@pytest.fixture(scope="module")
async def day(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("town")
    world = Town(home, registry)
    # The world ends its own sandboxes in an event loop of its own, which this thread has one of already.
    await asyncio.to_thread(world.__enter__)
    try:
        lived = Day(world)
        stop = threading.Event()
        watcher = threading.Thread(target=_watch, args=(lived, stop))
        watcher.start()
        try:
            await _live(lived)
        finally:
            stop.set()
            watcher.join()
        yield lived
    finally:
        await asyncio.to_thread(world.close)


def _watch(day: Day, stop: threading.Event) -> None:
    while not stop.wait(1):
        _look(day)


def _look(day: Day) -> None:
    """What the engine knows of our containers while they run, and what lies in their memory."""
    mine = ("--filter", f"label=looprail.home={day.world.home}")
    listed = subprocess.run(
        ("docker", "ps", "-q", *mine), capture_output=True, text=True, check=False
    )
    for box in listed.stdout.split():
        seen = subprocess.run(("docker", "inspect", box), capture_output=True, check=False)
        day.in_flight[seen.stdout] = None
        day.in_memory[memory_of(box)] = None


async def _live(day: Day) -> None:
    echo = {
        "kind": "status",
        "status": 500,
        "message": "proxy: you sent {authorization}",
        "times": 1,
    }
    httpx.post(
        f"{day.world.model_url}/_faults",
        json=[
            {**echo, "role": "lead"},
            {**echo, "role": "maker"},
            {**echo, "status": 401, "role": "checker"},
        ],
    ).raise_for_status()
    with (
        told(day.world, "night-fix") as fix,
        told(day.world, "ticket-triage") as tickets,
        told(day.world, "broken-parrot") as broken,
    ):
        await asyncio.gather(_tell(day, fix), _tell(day, tickets), _tell(day, broken))
    day.requests = httpx.get(f"{day.world.model_url}/_requests").json()
    for words in (("inbox", "--all"), ("approvals",), ("cost",), ("state", "night-fix"),
                  *(("trace", i.item, "--json") for i in day.items)):  # fmt: skip
        done = day.world.run("loops", *words)
        day.printed += [done.stdout, done.stderr]


async def _tell(day: Day, story: Story) -> None:
    items = await story.follow(await story.fire(200), 250)
    while waiting := [i for i in items if i.status == "waiting"]:
        for item in waiting:
            story.approve(item, await story.cards([item]))
        items = await story.follow(items, 250)
    for item in items:
        day.items.append(item)
        day.entries += await story.store.entries(item.item)


def _plant(day: Day, decoy: str) -> None:
    """The decoy in every kind of place, in every spelling, past what one database page holds."""
    world, text = day.world, "x" * 9000 + planted(decoy) + "x" * 9000
    (world.home / "logs" / "decoy.log").write_text(text)
    (world.home / "blobs" / "decoy").write_text(text)
    (world.home / "lake").mkdir(exist_ok=True)
    write_table(
        Table.from_pylist([{"text": text}]),
        world.home / "lake" / "decoy.parquet",
        compression="zstd",
    )
    git = ("git", "-C", str(world.repository), "hash-object", "-w", "--stdin")
    subprocess.run(git, input=text, text=True, check=True, capture_output=True)
    httpx.post(world.receiver.url, json={"body": text}).raise_for_status()
    user, _, password = world.keys.prefect.partition(":")
    with httpx.Client(base_url=world.api_url, auth=(user, password)) as prefect:
        prefect.post(
            "/artifacts/", json={"key": "decoy", "type": "markdown", "data": text}
        ).raise_for_status()
        prefect.post(
            "/variables/", json={"name": "decoy", "value": planted(decoy)}
        ).raise_for_status()
    with told(world, "night-fix") as story:
        asyncio.run(story.store.pin("decoy", "decoy", text, by="decoy", now=1))
    label = ("--label", f"looprail.home={world.home}")
    base = "looprail/python:3.11"
    named = f"looprail/decoy-{secrets.token_hex(4)}"
    box = _docker("create", *label, "--env", f"DECOY={text}", base, "true")
    (world.home / "decoy.txt").write_text(text)
    _docker("cp", str(world.home / "decoy.txt"), f"{box}:/decoy.txt")
    _docker("commit", box, named)
    volume = _docker("volume", "create", *label, "--label", f"decoy={text}")
    # A box as ours are: the workspace a volume in memory, temporary files in memory, and it runs.
    alive = _docker("run", "--detach", *label, "--env", f"DECOY={planted(decoy)}", "--tmpfs", "/tmp",
                    "--volume", f"{volume}:/workspace", base, "sleep", "600")  # fmt: skip
    write = ("docker", "exec", "-i", alive, "sh", "-c", "tee /workspace/decoy >/tmp/decoy")
    subprocess.run(write, input=text, text=True, check=True, timeout=60)
    _look(day)
    world.processes["decoy"] = Process(
        "decoy", (program("python"), "-c", "import time; time.sleep(600)", planted(decoy)),
        log=world.home / "logs" / "decoy-process.log", env={}, cwd=ROOT,
    )  # fmt: skip
    day.requests.append(text)
    day.printed.append(text)


def _unplant(day: Day, decoy: str) -> None:
    if "decoy" in day.world.processes:
        day.world.processes.pop("decoy").stop()
    mine = ("--filter", f"label=looprail.home={day.world.home}")
    for box in _docker("ps", "-aq", *mine).split():
        _docker("rm", "-f", box)
    for volume in _docker("volume", "ls", "-q", *mine).split():
        _docker("volume", "rm", volume)
    for image in _docker("images", "-q", f"looprail/decoy-{decoy[:8].lower()}").split():
        _docker("rmi", image)


def _docker(*words: str) -> str:
    done = subprocess.run(
        ("docker", *words), capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


async def test_everything_was_tried(day: Day) -> None:
    """Without this the other tests would prove nothing."""
    ran = [e for e in day.entries if e.name == "workspace.run"]
    tried = " ".join(str(e.args["command"]) for e in ran)
    for order in (
        "env",
        "/proc/[0-9]*/environ",
        "create_connection",
        "include_secrets",
        "docker.sock",
    ):
        assert order in tried
    for tool in ("advice", "environments", "blocks", "connect"):
        assert day.results(f"thief.{tool}")
    parrot = day.world.parrot
    assert set(parrot.asked) == {*SAYS, *BROKEN}
    assert f"Bearer {day.world.parrot_key}" in parrot.heard
    assert all("[secret]" in text for name in SAYS for text in day.results(f"parrot.{name}"))
    assert {i.loop for i in day.items} == {"night-fix", "ticket-triage", "broken-parrot"}
    assert all(i.status in ("done", "stopped") for i in day.items)
    said = {
        (e.place.lane, str((e.result or {})["text"]).startswith("Refused"))
        for e in day.entries
        if e.name == "linear.comment_ticket"
    }
    assert ("lead", False) in said, "a person was asked, and said yes"
    assert ("maker", True) in said
    assert ("maker", False) not in said


async def test_no_theft_worked(day: Day) -> None:
    results = [t for name in ("workspace.run", "thief.environments", "thief.blocks", "thief.connect")
               for t in day.results(name)]  # fmt: skip
    assert len(results) >= 10
    assert [(loot, text[:300]) for text in results for loot in LOOT if loot in text] == []


async def test_neither_sandbox_nor_local_connector_reaches_the_prefect_api(day: Day) -> None:
    # The same words from here do reach it, so that it is the fence that holds and not the words that are wrong.
    here = subprocess.run((sys.executable, "-c", ask(day.world.port)), capture_output=True, text=True,
                          check=True, timeout=60)  # fmt: skip
    assert "CONNECTED 127.0.0.1" in here.stdout
    in_box = [t for t in day.results("workspace.run") if "UNREACHABLE 127.0.0.1" in t]
    assert in_box
    assert all("CONNECTED" not in t for t in in_box)
    for text in (*day.results("thief.connect"), *day.results("thief.blocks")):
        assert text.startswith("UNREACHABLE")
        assert "CONNECTED" not in text
    assert sum(t.startswith("UNREACHABLE") for t in day.results("thief.connect")) >= 2


async def test_no_redirect_took_a_credential_along(day: Day) -> None:
    assert "redirects" in day.world.parrot.asked
    assert day.world.parrot.followed == []


async def test_the_echoed_key_is_on_the_ledger_as_what_it_is(day: Day) -> None:
    """The provider did echo it, and what was kept says so without it."""
    with told(day.world, "night-fix") as story:
        rows = await story.store.ledger()
    said = [
        str(r.attributes.get("error.message"))
        for r in rows
        if r.status == "failed" and r.kind == "model"
    ]
    assert len(said) >= 2
    assert all("proxy: you sent Bearer [secret]" in text for text in said)


async def test_no_container_or_volume_is_left(day: Day) -> None:
    assert boxes(day.world) == []
    assert day.in_flight, "there were some"
    assert any(b"workspace/northwind/pricing.py" in content for content in day.in_memory)


async def test_no_canary_is_anywhere_by_a_scanner_that_finds_a_planted_one_everywhere(
    day: Day,
) -> None:
    decoy = secrets.token_urlsafe(24) + "+/:&="
    found = await asyncio.to_thread(lambda: hits(day.canaries, day.places()))
    assert found == set()

    try:
        await asyncio.to_thread(_plant, day, decoy)
        planted_in = await asyncio.to_thread(lambda: hits({"decoy": decoy}, day.places()))
    finally:
        await asyncio.to_thread(_unplant, day, decoy)
    by_place: dict[str, set[str]] = {}
    for _, how, where in planted_in:
        by_place.setdefault(where, set()).add(how)
    for where in (
        "file logs", "file blobs", "rows store.db definitions", "rows prefect.db artifact", "rows prefect.db variable",
        "parquet decoy.parquet", "git api.git", "notices", "container", "container files", "volume", "image",
        "argv decoy", "model requests", "printed", "containers in flight", "workspaces in flight",
        "container memory", "volume content",
    ):  # fmt: skip
        assert by_place.get(where) == set(spellings(decoy)), where
