"""A world without a worker: the real flows are run here, one at a time, by Prefect's own engine.

Everything else is real: Prefect's server, the store, the forge, the scripted model in a process of its own, the
sandbox. It saves the seconds a worker needs for each flow run, so that every way to stop can have its own test.
"""

import asyncio
import json
import os
import shutil
from collections.abc import Coroutine, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
import pytest
import yaml
from prefect import get_client
from prefect.blocks.core import Block
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow_async
from prefect.input.actions import aread_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_UI_URL,
    temporary_settings,
)
from prefect.states import Scheduled
from pydantic import SecretStr

from blocks import StoreDatabase
from demo.prefect_api import PrefectApi
from demo.processes import Process
from demo.world import ROOT, DemoWorld
from drivers.registry_files import read_registry
from drivers.store import store_at
from governance.examination import load
from governance.memory import Store
from governance.parts import Json, short_id
from governance.records import ItemRow, LedgerRow, RunRow
from tasks.world import now_ms
from tests.cli.filled import invoke

T = TypeVar("T")

ADMIN_KEY = "sk-ant-admin-bench"
"""Reads the usage report of this world's provider."""


class Bench(DemoWorld):
    """The world, and what a worker would do in it."""

    def __init__(self, home: Path, **options: Any) -> None:
        super().__init__(home, workers=0, **options)
        self._undo = ExitStack()
        self._place = home

    def __enter__(self) -> "Bench":
        super().__enter__()
        self.api = PrefectApi(self.api_url, self.keys.prefect)
        self._undo.callback(self.api.close)
        self._undo.enter_context(_environment(self.environment()))
        return self

    def close(self) -> None:
        """End everything, and give this process its own environment back."""
        try:
            # What is still to be logged goes out while somebody listens.
            APILogWorker.drain_all(timeout=5)
            self._undo.close()
        finally:
            super().close()

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self._place / 'store.db'}"

    @property
    def blobs(self) -> str:
        return str(self._place / "blobs")

    @property
    def store(self) -> Store:
        """The store of the test under way."""
        return store_at(self.store_url, self.blobs)

    def deploy(self) -> None:
        """Nothing is deployed that a worker would take; `begin` makes what a dispatch looks up."""

    def _start(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> Process:
        brain = ("--brain", "tests.flows.brains:told", "--admin-key", ADMIN_KEY)
        own = brain if name == "model" else ()
        return super()._start(name, (*command, *own), env)

    async def begin(self, name: str, loop: str, **changes: Any) -> "Bench":
        """A store of its own and a registry changed as `change` does it; the provider does as it should."""
        self._place = self.home / name
        self._place.mkdir()
        self.registry = self._place / "registry"
        os.environ["LOOPRAIL_REGISTRY"] = str(self.registry)
        change(self.registry, loop, **changes)
        httpx.delete(f"{self.model_url}/_faults")
        with self.settings():
            async with get_client() as client:
                flow = await client.create_flow_from_name("work")
                await client.create_deployment(flow, name=loop)
        await self.save("looprail", StoreDatabase(url=SecretStr(self.store_url), blobs=self.blobs))
        return self

    async def save(self, name: str, block: Block) -> None:
        """Put a block in place of the one of that name."""
        with self.settings():
            await cast(Any, block.save)(name, overwrite=True)

    def settings(self) -> Any:
        """Prefect's settings for this server."""
        return temporary_settings(
            {
                PREFECT_API_URL: self.api_url,
                PREFECT_API_AUTH_STRING: self.keys.prefect,
                PREFECT_UI_URL: self.ui_url,
                PREFECT_HOME: str(self.home / "prefect"),
            }
        )

    def faults(self, *faults: Json) -> None:
        """What is to go wrong at the provider from now on."""
        httpx.post(f"{self.model_url}/_faults", json=list(faults)).raise_for_status()

    def bill(self) -> Json:
        """What the provider has charged since it was started."""
        return httpx.get(f"{self.model_url}/_bill").json()

    def requests(self) -> list[Json]:
        """The newest two hundred requests of the provider, oldest first."""
        return httpx.get(f"{self.model_url}/_requests").json()

    async def heartbeat(self, loop: str) -> tuple[State[Any], RunRow, tuple[ItemRow, ...]]:
        """Fire the loop; how the flow run ended, its run, and what it put in the inbox."""
        from flows.heartbeat import heartbeat

        with self.settings():
            state = await cast(Any, heartbeat)(loop, return_state=True)
            run = next(r for r in await self.store.runs(loop=loop))
            return (
                await self._now(UUID(run.flow_run)) or state,
                run,
                await self.store.items(run=run.run),
            )

    async def work(self, item: ItemRow) -> tuple[State[Any], ItemRow]:
        """Do what a worker does with the item's flow run; how it ended or what it waits for."""
        from flows.work import work

        with self.settings():
            row = await self.item(item)
            assert row.flow_run is not None
            async with get_client() as client:
                run = await client.read_flow_run(UUID(row.flow_run))
            await self._run(work, run)
            return await self._now(run.id), await self.item(item)

    async def again(self, item: ItemRow) -> tuple[State[Any], ItemRow]:
        """One more life of an item that waits, nobody having answered: as after a crash, or by Retry in the UI."""
        row = await self.item(item)
        with self.settings():
            async with get_client() as client:
                await client.set_flow_run_state(UUID(str(row.flow_run)), Scheduled())
        return await self.work(row)

    async def _run(self, flow: Any, run: FlowRun) -> None:
        # A flow that suspends leaves its process by this signal; a worker takes it for a good end, too.
        with suppress(Pause, Abort):
            await cast(Any, run_flow_async)(
                flow, flow_run=run, parameters=run.parameters, return_type="state"
            )

    async def _now(self, flow_run: UUID) -> State[Any]:
        async with get_client() as client:
            state = (await client.read_flow_run(flow_run)).state
        assert state is not None
        return state

    async def keep_house(self, later_s: float = 0) -> None:
        """Housekeeping, as it would run so many seconds from now."""
        from flows.housekeeping import housekeeping

        with self.settings(), pytest.MonkeyPatch.context() as clock:
            clock.setattr("tasks.recovery.now_ms", lambda: now_ms() + int(later_s * 1000))
            await cast(Any, housekeeping)()

    async def open_heartbeat(self, loop: str) -> RunRow:
        """A heartbeat's run in the store, its flow run made and not started."""
        with self.settings():
            registry = load(read_registry(self.registry), priced=bool)
            definition = await self.store.pin(
                "loop", loop, registry.pinned(loop), by="registry", now=now_ms()
            )
            async with get_client() as client:
                flow = await client.create_flow_from_name("heartbeat")
                deployment = await client.create_deployment(flow, name=loop)
                made = await client.create_flow_run_from_deployment(
                    deployment, parameters={"loop": loop}
                )
        slot = f"by-hand-{made.id}"
        return await self.store.open_run(
            short_id("r", loop, slot), loop=loop, slot=slot, flow_run=str(made.id),
            definition=definition, budgets=(), now=now_ms(),
        )  # fmt: skip

    async def run_heartbeat(self, run: RunRow) -> None:
        """Do what a worker does with the heartbeat's flow run."""
        from flows.heartbeat import heartbeat

        with self.settings():
            async with get_client() as client:
                made = await client.read_flow_run(UUID(run.flow_run))
            await self._run(heartbeat, made)

    async def dies_after_taking(self, item: ItemRow) -> None:
        """A process that takes the item up and does nothing more."""
        assert item.flow_run is not None
        now = now_ms()
        await self.store.claim(
            item.item, flow_run=item.flow_run, now=now, lease=now + 60_000, max_lives=100
        )

    async def moment(self) -> None:
        """Let what runs beside go on."""
        await asyncio.sleep(0.1)

    async def beside(self, act: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
        """What the work comes to, with something done beside it."""
        acting = asyncio.create_task(act)
        done = await work
        await acting
        return done

    def calls(self, tool: str) -> list[Json]:
        """Every call of a tool that the forge got."""
        answer = httpx.get(
            f"{self.forge_url}/_calls", params={"tool": tool}, timeout=30,
            headers={"Authorization": f"Bearer {self.keys.forge}"},
        )  # fmt: skip
        return answer.raise_for_status().json()

    async def item(self, item: ItemRow) -> ItemRow:
        """The item as it stands."""
        row = await self.store.item(item.item)
        assert row is not None
        return row

    async def shown(self, item: ItemRow) -> str:
        """What the form shows that the item waits under."""
        keys = keyset_from_base_key(f"suspended-{item.posted_key}")
        with self.settings():
            return str(await aread_flow_run_input(keys["description"], UUID(str(item.flow_run))))

    async def ledger(self, item: ItemRow, kind: str | None = None) -> list[LedgerRow]:
        """The item's tries, oldest first."""
        rows = await self.store.ledger(item=item.item)
        return sorted(
            (r for r in rows if kind in (None, r.kind)), key=lambda r: (r.started_at, r.attempt)
        )

    async def paid_once(self, item: ItemRow, since: Json) -> list[LedgerRow]:
        """The item's model calls: each was made once, and the provider has charged for exactly them since that bill."""
        rows, after = await self.ledger(item, "model"), self.bill()
        assert [(r.status, r.attempt) for r in rows] == [("done", 1)] * len(rows)
        assert after["calls"] - since["calls"] == len(rows)
        assert after["cost_pico_usd"] - since["cost_pico_usd"] == sum(r.cost or 0 for r in rows)
        return rows

    def no_pauses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A model call's five tries in a row instead of within eighty seconds."""
        monkeypatch.setattr("tasks.model._call_model.retry_delay_seconds", [0, 0, 0, 0])

    async def loops(self, *words: str) -> Any:
        """What a command of the CLI prints with `--json`, on the store of the test under way."""
        here = {"LOOPRAIL_STORE_URL": self.store_url, "LOOPRAIL_BLOBS": self.blobs}
        environment = {**self.environment(), **here}
        done = await asyncio.to_thread(invoke, environment, *words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


def change(registry: Path, loop: str, **changes: Any) -> None:
    """A copy of the organisation's registry at `registry`, with one loop's fields merged with these.

    `organisation=` is merged into org.yaml instead, and `play={"tickets/v1": part}` casts a part of `brains`.
    """
    shutil.copytree(ROOT / "registry", registry)
    for told, part in changes.pop("play", {}).items():
        (registry / "instructions" / f"{told}.md").write_text(f"Play: {part}\n")
    _merge(registry / "org.yaml", changes.pop("organisation", {}))
    _merge(registry / "loops" / f"{loop}.yaml", changes)


def _merge(file: Path, changes: Json) -> None:
    told = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump(_merged(told, changes), sort_keys=False))


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{k: _merged(old.get(k), v) for k, v in new.items()}}


@contextmanager
def _environment(names: dict[str, str]) -> Generator[None]:
    before = dict(os.environ)
    os.environ.update({k: v for k, v in names.items() if k.startswith("LOOPRAIL_HOME")})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
