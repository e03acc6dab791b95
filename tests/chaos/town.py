"""A world to kill things in, whose far side keeps the truth through every kill."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.states import Scheduled
from pydantic import SecretStr

from blocks import StoreDatabase
from demo.forge.git import Bare
from demo.processes import Process
from governance.parts import Json
from tests.flows.bench import Bench

COUNTED = ("linear.comment_ticket", "github.create_pull_request", "github.merge_pull_request")
"""Tools whose effect is another one each time: the far side must see each of them once."""


class Town(Bench):
    """The bench, with a provider whose bill is in a file, and processes that can be killed and come back."""

    def __init__(self, home: Path, **options: Any) -> None:
        super().__init__(home, **options)
        self.model_options = (
            "--brain", "tests.flows.brains:told", "--bill", str(home / "bill.jsonl"),
        )  # fmt: skip
        self._commands: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {}
        self._deployments: dict[str, UUID] = {}
        self._base = ""
        self._slots = 0

    def _start(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> Process:
        own = (*command, *self.model_options) if name == "model" else command
        self._commands[name] = (own, env)
        return super(Bench, self)._start(name, own, env)

    async def kill(self, name: str) -> None:
        """As the machine's power would: nobody is asked."""
        process = self.processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        while process.alive():
            await asyncio.sleep(0.02)

    async def back(self, name: str) -> None:
        """Start a killed process again, on its old address and files."""
        if name == "prefect":
            await asyncio.to_thread(self.start_prefect)
            return
        command, env = self._commands[name]
        url = self.model_url if name == "model" else self.forge_url
        process = super(Bench, self)._start(name, command, env)
        await asyncio.to_thread(process.wait_for, url, timeout_s=60, status=(200, 401, 404, 405))

    def slot(self) -> str:
        """A moment that no firing stands for yet."""
        self._slots += 1
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=self._slots)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    async def fire(self, loop: str, slot: str) -> str:
        """One firing of a loop's heartbeat that nobody has taken up yet; its flow run."""
        with self.settings():
            async with get_client() as client:
                if loop not in self._deployments:
                    flow = await client.create_flow_from_name("heartbeat")
                    self._deployments[loop] = await client.create_deployment(flow, name=loop)
                run = await client.create_flow_run_from_deployment(
                    self._deployments[loop], parameters={"loop": loop, "slot": slot}
                )
                return str(run.id)

    async def move(self, name: str) -> Path:
        """From now on the store is another one, in a place of its own; the registry stays. Where it is."""
        self._place = self.home / name
        self._place.mkdir()
        await self.save("looprail", StoreDatabase(url=SecretStr(self.store_url), blobs=self.blobs))
        return self._place

    async def state_of(self, flow_run: str) -> State[Any]:
        """A flow run's state in Prefect."""
        with self.settings():
            return await self._now(UUID(flow_run))

    async def revive(self, flow_run: str, *, force: bool = True) -> None:
        """What recovery does with a run whose process is gone; unforced is what the UI's Retry does."""
        state = Scheduled(name="AwaitingRetry")
        with self.settings():
            async with get_client() as client:
                if not force:
                    # The UI offers it only once the crash is known.
                    crashed = State[Any](type=StateType.CRASHED)
                    await client.set_flow_run_state(UUID(flow_run), crashed, force=True)
                await client.set_flow_run_state(UUID(flow_run), cast(Any, state), force=force)

    def life_environment(self) -> dict[str, str]:
        """What tells a life which registry it follows."""
        return {"LOOPRAIL_REGISTRY": str(self.registry)}

    def no_faults(self) -> None:
        """The provider does as it should again."""
        httpx.delete(f"{self.model_url}/_faults").raise_for_status()

    def charged(self) -> dict[str, Json]:
        """Every model call the provider has charged, by the id of its answer."""
        return httpx.get(f"{self.model_url}/_messages", timeout=30).json()

    def forge_calls(self, after: int = 0) -> list[Json]:
        """Every call the forge got after that one, also those it answered with an older result."""
        with sqlite3.connect(self._forge_db, timeout=30) as db:
            db.row_factory = sqlite3.Row
            found = db.execute("SELECT * FROM calls WHERE id > ? ORDER BY id", (after,)).fetchall()
        db.close()
        return [dict(row) for row in found]

    def last_call(self) -> int:
        """The number of the forge's newest call."""
        return max((int(c["id"]) for c in self.forge_calls()), default=0)

    def red_again(self) -> None:
        """The forge's repository as it was seeded: red, with no branch and no pull request of ours."""
        bare = Bare(self.repository)
        self._base = self._base or str(bare.branch("main"))
        bare.run("update-ref", "refs/heads/main", self._base)
        for line in bare.run("for-each-ref", "--format=%(refname)", "refs/heads/looprail").split():
            bare.run("update-ref", "-d", line)
        with sqlite3.connect(self._forge_db, timeout=30) as db:
            db.execute("DELETE FROM pulls")
            db.execute("DELETE FROM runs WHERE commit_id <> ?", (self._base,))
        db.close()

    @property
    def _forge_db(self) -> Path:
        return self.repository.parent / "forge.db"
