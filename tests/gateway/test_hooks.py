"""A signed delivery is on record before its sender is answered; anything else fires nothing and is counted.

The gateway is the real one over a real store and registry; Prefect is away, so what is taken stays in the outbox.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
    temporary_settings,
)
from pydantic import SecretStr

from blocks import WebhookSender
from drivers.blobs import DirectoryBlobs
from drivers.registry_files import read_registry
from drivers.store import open_store
from drivers.store.store import SqlStore
from gateway.app import gateway
from gateway.hooks import Hooks
from governance.examination import load
from governance.firing import MAX_PAYLOAD
from governance.signatures import sign
from tasks.world import World

ROOT = Path(__file__).parents[2]
SECRET = "whsec_" + "c2VjcmV0" * 4
NOW = 1_780_000_000
BODY = b'{"build": 4711, "note": "{{ secrets }}"}'


class Door:
    def __init__(self, client: httpx.AsyncClient, store: SqlStore, hooks: Hooks) -> None:
        self.client, self.store, self.hooks = client, store, hooks

    async def post(
        self, body: bytes = BODY, *, loop: str = "night-fix", **changes: Any
    ) -> httpx.Response:
        said: dict[str, Any] = {"delivery": "evt_1", "at": NOW, "secret": SECRET, **changes}
        headers = {
            "webhook-id": said["delivery"], "webhook-timestamp": str(said["at"]),
            "webhook-signature": sign(said["secret"], said["delivery"], said["at"], said.get("signed", body)),
        }  # fmt: skip
        return await self.client.post(
            f"/hooks/{loop}", content=body, headers=said.get("headers", headers)
        )

    async def fired(self) -> list[Any]:
        return [row.payload for row in await self.store.outbox() if row.kind == "fire"]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "registry", registry)
    for name, block in (("night-fix", "ci"), ("ticket-triage", "github")):
        file = registry / "loops" / f"{name}.yaml"
        file.write_text(file.read_text().replace("trigger: {", f"trigger: {{webhook: {block}, "))
    store = open_store(f"sqlite://{tmp_path}/store.db", DirectoryBlobs(tmp_path / "blobs"))

    @asynccontextmanager
    async def world() -> AsyncGenerator[World]:
        loaded = load(read_registry(registry), priced=bool)
        async with AsyncExitStack() as stack:
            yield World(store, DirectoryBlobs(tmp_path / "blobs"), loaded, stack)

    async def sender(name: str) -> WebhookSender:
        if name == "ci":
            return WebhookSender(secret=SecretStr(SECRET))
        return WebhookSender(secret=SecretStr("It's a Secret to Everybody"), scheme="github")

    hooks = Hooks(clock=lambda: NOW, world=world, sender=sender)
    nowhere = {
        PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False,
        PREFECT_CLIENT_MAX_RETRIES: 0,
    }  # fmt: skip
    with temporary_settings(nowhere):
        transport = httpx.ASGITransport(gateway(hooks))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield Door(client, store, hooks)
    await hooks.close()
    store.disconnect()


async def test_a_signed_delivery_is_on_record_with_its_firing_before_it_is_answered(door: Door):
    answer = await door.post()
    assert answer.status_code == 202
    assert answer.json() == {"loop": "night-fix", "delivery": "evt_1", "again": False}
    assert await door.fired() == [
        {"loop": "night-fix", "delivery": "evt_1", "payload": BODY.decode()}
    ]


async def test_a_retry_signed_anew_is_answered_as_the_first_was_and_fires_nothing_more(door: Door):
    await door.post()
    answer = await door.post(at=NOW + 60)
    assert (answer.status_code, answer.json()["again"]) == (202, True)
    assert len(await door.fired()) == 1


async def test_the_same_request_byte_for_byte_is_a_replay(door: Door):
    await door.post()
    answer = await door.post()
    assert (answer.status_code, answer.json()["refused"]) == (409, "replayed")
    assert len(await door.fired()) == 1


async def test_a_delivery_id_with_other_content_is_refused(door: Door):
    await door.post()
    answer = await door.post(b'{"build": 4712}')
    assert (answer.status_code, answer.json()["refused"]) == (409, "other")
    assert len(await door.fired()) == 1


async def test_the_same_delivery_id_of_two_loops_is_two_deliveries(door: Door):
    await door.post()
    headers = {
        "x-github-delivery": "evt_1",
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    }
    assert (
        await door.post(b"Hello, World!", loop="ticket-triage", headers=headers)
    ).status_code == 400
    import hashlib
    import hmac

    made = hmac.new(b"It's a Secret to Everybody", BODY, hashlib.sha256).hexdigest()
    headers["x-hub-signature-256"] = f"sha256={made}"
    answer = await door.post(BODY, loop="ticket-triage", headers=headers)
    assert answer.status_code == 202
    assert [row["loop"] for row in await door.fired()] == ["night-fix", "ticket-triage"]
    again = await door.post(BODY, loop="ticket-triage", headers=headers)
    assert (again.status_code, again.json()["refused"]) == (409, "replayed")


@pytest.mark.parametrize(
    ("how", "changes", "status", "kind"),
    [
        ("no signature", {"headers": {}}, 401, "unsigned"),
        ("another secret", {"secret": "whsec_" + "eHh4" * 8}, 401, "unsigned"),
        ("other bytes", {"signed": b"{}"}, 401, "unsigned"),
        ("an old timestamp", {"at": NOW - 301}, 401, "stale"),
        ("a timestamp to come", {"at": NOW + 301}, 401, "stale"),
        ("a loop that is not there", {"loop": "nobody"}, 404, "unknown"),
        ("a loop without a webhook", {"loop": "morning-triage-loop"}, 404, "unknown"),
        ("a delivery id with a line in it", {"delivery": "a b"}, 400, "malformed"),
    ],
)
async def test_what_is_refused_says_why_fires_nothing_and_is_counted(
    door: Door, how: str, changes: dict[str, Any], status: int, kind: str
):
    answer = await door.post(**changes)
    assert (answer.status_code, answer.json()["refused"]) == (status, kind), how
    assert SECRET not in answer.text
    assert await door.fired() == []
    health = await door.client.get("/health")
    assert health.json() == {"ok": True, "requests": {kind: 1}}


@pytest.mark.parametrize("body", [b"no json", b"\xff\xfe", b'{"a": ', b"[" * 30_000])
async def test_a_body_that_is_no_json_is_refused(door: Door, body: bytes):
    answer = await door.post(body)
    assert (answer.status_code, answer.json()["refused"]) == (400, "malformed")
    assert await door.fired() == []


async def test_a_body_is_read_up_to_its_cap_and_no_further(door: Door):
    just = json.dumps("x" * (MAX_PAYLOAD - 2)).encode()
    assert len(just) == MAX_PAYLOAD
    assert (await door.post(just)).status_code == 202
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1024
            yield b"x" * 1024
            await asyncio.sleep(0)

    answer = await door.client.post("/hooks/night-fix", content=endless())
    assert (answer.status_code, answer.json()["refused"]) == (413, "oversized")
    assert read <= MAX_PAYLOAD + 64 * 1024
    assert len(await door.fired()) == 1


async def test_many_at_once_with_one_id_fire_once(door: Door):
    answers = await asyncio.gather(*(door.post(at=NOW + n) for n in range(20)))
    assert {a.status_code for a in answers} == {202}
    assert sum(not a.json()["again"] for a in answers) == 1
    assert len(await door.fired()) == 1


async def test_a_secret_that_cannot_be_read_is_not_the_senders_fault(door: Door):
    async def gone(name: str) -> WebhookSender:
        raise ValueError(f"no block {name}")

    door.hooks.sender = gone
    answer = await door.post()
    assert (answer.status_code, answer.json()["refused"]) == (503, "away")
    assert await door.fired() == []


async def test_only_these_two_doors_are_open(door: Door):
    assert (await door.client.get("/hooks/night-fix")).status_code == 405
    assert (await door.client.post("/hooks/night-fix/more")).status_code == 404
    assert (await door.client.get("/")).status_code == 404
