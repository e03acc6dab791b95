"""What does this process reach the world through?

The one place that composes blocks into drivers and hands them to the edge as ports. One world per process and event
loop; whatever it opened it closes. Every secret it takes from a block is known to the screen before it is used.
"""

import os
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from blocks import McpServer, ModelProvider, Repository, StoreDatabase, UsageReport
from blocks.store_database import STORE
from blocks.usage_report import USAGE_REPORT
from drivers.blobs import DirectoryBlobs
from drivers.git.repository import GitRepository
from drivers.home import home
from drivers.mcp import McpConnector
from drivers.model import AnthropicModel
from drivers.registry_files import read_registry
from drivers.sandbox.choose import open_sandbox
from drivers.store import store_at
from drivers.store.opening import secrets_in
from drivers.usage_report import AdminApi
from governance.edge import Edge
from governance.examination import load
from governance.guardrails import Screen
from governance.memory import Store
from governance.parts import short_id
from governance.ports import Blobs, Connector, Model, Sandbox
from governance.prices import Book, price_of
from governance.registry import Registry


def now_ms() -> int:
    """The clock: Unix milliseconds, UTC."""
    return time.time_ns() // 1_000_000


def registry_root() -> Path:
    """The registry: `LOOPRAIL_REGISTRY`, else the folder beside the code that runs."""
    beside = Path(__file__).parent.parent / "registry"
    return Path(os.environ.get("LOOPRAIL_REGISTRY", beside)).absolute()


Mirror = tuple[GitRepository, str]
"""The mirror of a repository, and the author of our commits."""


class World:
    """Ports, opened on first use from the blocks that the registry names."""

    def __init__(
        self, store: Store, blobs: Blobs, registry: Registry, stack: AsyncExitStack
    ) -> None:
        self.store, self.blobs, self.registry, self._stack = store, blobs, registry, stack
        self._screen = Screen()
        self._models: dict[str, Model] = {}
        self._connectors: dict[str, Connector] = {}
        self._repositories: dict[str, GitRepository] = {}
        self._sandbox: Sandbox | None = None
        self.edge = Edge(store, now_ms, lambda: self._screen, book=Book(registry.prices))

    def secret(self, value: SecretStr | None) -> str | None:
        """The plain value, from now on screened out of everything."""
        if value is None:
            return None
        plain = value.get_secret_value()
        self._screen = self._screen.with_secret(plain)
        return plain

    @property
    def screen(self) -> Screen:
        """The screen with every secret this process holds."""
        return self._screen

    async def model(self, provider: str) -> Model:
        """The provider behind a ModelProvider block."""
        if provider not in self._models:
            block = await ModelProvider.aload(provider)
            key = self.secret(block.api_key)
            assert key is not None
            self._models[provider] = AnthropicModel(block.base_url, key)
        return self._models[provider]

    async def usage_report(self) -> tuple[AdminApi, int]:
        """The provider's usage report, and the hours until a day of it is final. Raises `ValueError` without a block."""
        block = await UsageReport.aload(USAGE_REPORT.partition("/")[2])
        key = self.secret(block.admin_key)
        assert key is not None
        api = AdminApi(block.base_url, key, workspaces=block.workspaces, api_keys=block.api_keys)
        return api, block.final_after_hours

    async def connector(self, name: str) -> Connector:
        """A connector named in org.yaml; its connection stays up until the world closes."""
        if name not in self._connectors:
            block = await McpServer.aload(self.registry.organisation.connectors[name].server)
            connector = mcp_connector(name, block, self.secret(block.token))
            self._stack.push_async_callback(connector.close)
            self._connectors[name] = connector
        return self._connectors[name]

    async def repository(self, name: str) -> Mirror:
        """The mirror of a repository named in org.yaml, and the author of our commits."""
        document = self.registry.organisation.repositories[name].repository
        block = await Repository.aload(document)
        if name not in self._repositories:
            self._repositories[name] = GitRepository(
                block.url,
                home() / "mirrors" / short_id("m", block.url),
                self.blobs,
                self.secret(block.token),
            )
        return self._repositories[name], block.author

    async def sandbox(self) -> Sandbox:
        """What isolates here. Raises `Rejected` with the install line when nothing does."""
        if self._sandbox is None:
            wanted = self.registry.organisation.sandbox
            self._sandbox = await open_sandbox(
                wanted.kind,
                blobs=self.blobs,
                state_dir=home() / "sandbox",
                runtime=wanted.runtime,
                build_network=wanted.build_network,
            )
        return self._sandbox


def mcp_connector(name: str, block: McpServer, token: str | None) -> McpConnector:
    """The driver of one MCP server block."""
    if block.url:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return McpConnector.http(name, block.url, headers=headers)
    variable = {block.token_variable: token} if block.token_variable and token else {}
    return McpConnector.stdio(
        name,
        block.command,
        env=variable,
        settings=block.environment,
        hidden=(str(home()),),
        binds=block.binds,
        private=block.private if block.network else None,
    )


@asynccontextmanager
async def open_world() -> AsyncGenerator[World]:
    """The world of this process, closed behind you. Raises `DefinitionError` when the registry is wrong."""
    texts = read_registry(registry_root())
    registry = load(texts, priced=lambda model: price_of(model, now_ms()) is not None)
    document = await StoreDatabase.aload(STORE.partition("/")[2])
    url = document.url.get_secret_value()
    async with AsyncExitStack() as stack:
        world = World(
            store_at(url, document.blobs), DirectoryBlobs(Path(document.blobs)), registry, stack
        )
        for secret in secrets_in(url):
            world.secret(SecretStr(secret))
        yield world
