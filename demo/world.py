"""A whole small organisation on one machine: Prefect, a worker, a forge, a model provider, a notice board.

Everything is a process of its own on loopback, with keys made for the occasion. The product is used as any
organisation uses it: blocks are saved, `prefect deploy --all` deploys, the worker takes what is due.
"""

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from demo.interrupts import INTERRUPTS
from demo.outside import Actor, Upstream
from demo.processes import Process, free_port, program, stop_all
from demo.receiver import Receiver
from drivers.blobs import DirectoryBlobs
from drivers.sandbox.cell import BUILT_BY
from drivers.sandbox.choose import open_sandbox
from governance.errors import LoopError

ROOT = Path(__file__).parent.parent
POOL = "loops"


@dataclass
class Keys:
    """Credentials of one demo world; none of them is worth anything elsewhere."""

    prefect: str = field(default_factory=lambda: f"demo:{secrets.token_urlsafe(18)}")
    model: str = field(default_factory=lambda: f"sk-demo-{secrets.token_urlsafe(24)}")
    forge: str = field(default_factory=lambda: f"forge-{secrets.token_urlsafe(24)}")


class DemoWorld:
    """The world's processes and addresses. Use it as a context manager: nothing of it outlives the block."""

    def __init__(
        self, home: Path, *, registry: Path = ROOT / "registry", persona: str = "engineer",
        knowledge: Path | None = None, workers: int = 1, limit: int = 8,
        model_options: tuple[str, ...] = (), database: str | None = None,
        upstreams: Mapping[str, Upstream] = MappingProxyType({}),
        actors: Mapping[str, Actor] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """More forges are `upstreams`, more model providers `actors`; `database` is Prefect's own, if not SQLite."""
        self.home, self.registry, self.upstreams, self.actors = home, registry, upstreams, actors
        self.forge = Upstream(home / "forge" / "api.git", bugs=("rounding",))
        self.model = Actor(persona, knowledge)
        self.keys = Keys()
        self.receiver = Receiver()
        self.port = free_port()
        self.processes: dict[str, Process] = {}
        self._workers, self._limit, self._model_options = workers, limit, model_options
        self._database = database

    @property
    def api_url(self) -> str:
        """Prefect's API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def ui_url(self) -> str:
        """Prefect's UI, the newer of two: links without `/v2` open the older one, which hides half a card."""
        return f"http://127.0.0.1:{self.port}/v2"

    @property
    def forge_url(self) -> str:
        """The forge's page."""
        return self.forge.url

    @property
    def model_url(self) -> str:
        """The model provider."""
        return self.model.url

    @property
    def repository(self) -> Path:
        """The forge's bare repository."""
        return self.forge.repository

    @property
    def store_url(self) -> str:
        """The store's database."""
        return f"sqlite:///{self.home / 'store.db'}"

    @property
    def blobs(self) -> str:
        """The store's blobs."""
        return str(self.home / "blobs")

    def __enter__(self) -> "DemoWorld":
        (self.home / "tmp").mkdir(parents=True, exist_ok=True)
        try:
            outside = self._start_outside()
            self.start_prefect()
            for process, url in outside:
                process.wait_for(url, timeout_s=180, status=(200, 401, 404, 405))
            self._set_up_prefect()
            # Workers take seconds to come up; deploying takes as long.
            for n in range(self._workers):
                self.start_worker(f"worker-{n}")
            self.deploy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, workers first, and take away what they left in the sandbox."""
        with INTERRUPTS.held():
            workers = {n for n in self.processes if n.startswith("worker")}
            for names in (workers, self.processes.keys() - workers):
                stop_all([self.processes[n] for n in names])
            self.processes.clear()
            self.receiver.close()
            asyncio.run(self._sweep())

    def environment(self) -> dict[str, str]:
        """What a worker, the CLI and a person's shell need to work in this world."""
        ours = {
            "PREFECT_HOME": str(self.home / "prefect"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_API_AUTH_STRING": self.keys.prefect,
            "PREFECT_UI_URL": self.ui_url,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "LOOPRAIL_HOME": str(self.home),
            "LOOPRAIL_REGISTRY": str(self.registry),
        }
        return {**self._plain(), **ours}

    def start_prefect(self) -> None:
        """A server with a password from the first day."""
        env = {
            **self.environment(),
            "PREFECT_SERVER_API_AUTH_STRING": self.keys.prefect,
            "PREFECT_UI_API_URL": self.api_url,
        }
        if self._database:
            env["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = self._database
        command = (
            program("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(self.port),
        )  # fmt: skip
        server = self._start("prefect", command, env)
        server.wait_for(f"{self.api_url}/health", timeout_s=180)

    def start_worker(self, name: str) -> None:
        """A worker that takes what is due from the pool."""
        command = (
            program("prefect"), "worker", "start", "--pool", POOL, "--type", "looprail", "--name", name,
        )  # fmt: skip
        self._start(name, command, self.environment())

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command of this virtual environment in this world, as a person would type it."""
        done = subprocess.run(
            (program(command[0]), *command[1:]), env=self.environment(), cwd=ROOT, text=True,
            capture_output=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def deploy(self) -> None:
        """Render the registry, and let Prefect deploy it."""
        rendered = self.home / "prefect.yaml"
        self.run("loops", "render", "--registry", str(self.registry), "--output", str(rendered))
        self.run("prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(rendered))

    def _start_outside(self) -> tuple[tuple[Process, str], ...]:
        token, key = self.home / "forge-token", self.home / "model-key"
        for file, secret in ((token, self.keys.forge), (key, self.keys.model)):
            file.touch(mode=0o600)
            file.write_text(secret)
        forges = {"forge": self.forge, **{f"forge-{n}": u for n, u in self.upstreams.items()}}
        models = {"model": self.model, **{f"model-{n}": a for n, a in self.actors.items()}}
        for forge in forges.values():
            forge.repository.parent.mkdir(parents=True, exist_ok=True)
        plain = self._plain()
        return (
            *((self._start(n, u.command(token), plain), u.url) for n, u in forges.items()),
            *(
                (self._start(n, a.command(key, self._model_options), plain), a.url)
                for n, a in models.items()
            ),
        )

    def _set_up_prefect(self) -> None:
        connectors: dict[str, Mapping[str, str]] = {
            f"mcp-server/{name}": {"url": f"{self.forge_url}/{name}/mcp", "token": self.keys.forge}
            for name in ("github", "ci", "linear")
        }
        for name, upstream in self.upstreams.items():
            connectors |= upstream.blocks(name, self.keys.forge)
        providers = {
            f"model-provider/{name}": {"base_url": actor.url, "api_key": self.keys.model}
            for name, actor in {"anthropic": self.model, **self.actors}.items()
        }
        documents = {
            **connectors,
            **providers,
            "repository/northwind-api": {"url": self.repository.as_uri()},
            "store-database/looprail": {"url": self.store_url, "blobs": self.blobs},
            "journal/looprail": {},
            "custom-webhook/notices": {
                "name": "notices",
                "url": self.receiver.url,
                "json_data": {"subject": "{{subject}}", "body": "{{body}}"},
                "allow_private_urls": True,
            },
        }
        told = {"pool": {"name": POOL, "limit": self._limit}, "blocks": documents}
        subprocess.run(
            (program("python"), "-m", "demo.set_up_prefect"), input=json.dumps(told), text=True,
            env=self.environment(), cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip

    async def _sweep(self) -> None:
        blobs = DirectoryBlobs(self.home / "blobs")
        for kind in ("docker", "bubblewrap"):
            with suppress(LoopError):
                state = self.home / "sandbox"
                sandbox = await open_sandbox(kind, blobs=blobs, state_dir=state)
                await sandbox.end({"looprail.home": str(self.home)})
                await sandbox.end({BUILT_BY: str(state)})

    def _plain(self) -> dict[str, str]:
        """Our own environment without anything of Prefect's, Anthropic's or Looprail's; temporary files are the world's."""
        mine = ("PREFECT_", "ANTHROPIC_", "LOOPRAIL_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(mine)}
        return {**kept, "TMPDIR": str(self.home / "tmp")}

    def _start(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> Process:
        logs = self.home / "logs"
        logs.mkdir(exist_ok=True)
        with INTERRUPTS.held():
            process = Process(name, command, log=logs / f"{name}.log", env=env, cwd=ROOT)
            self.processes[name] = process
        return process
