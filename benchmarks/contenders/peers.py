"""pydantic-ai's own durable agents over the same model and the same tool: `prefect`, `dbos`, or nothing (`plain`).

Runs in the virtual environment of `make bench`, never in the product's. The tool is a function around one open MCP
client, because an MCP toolset connects anew in every durable call; that favours the peers.
"""

import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from benchmarks.contenders.assignment import (
    MAX_TOKENS,
    MODEL,
    SYSTEM,
    WARM_STEPS,
    Assignment,
    Report,
    brief,
    serve,
)
from benchmarks.meter import Meter

Look = Callable[[str], Awaitable[str]]
Run = Callable[[int, int, Meter | None], Awaitable[None]]
NO_LIMIT = UsageLimits(request_limit=None)


def agent_of(told: Assignment, look: Look, *capabilities: Any) -> Agent:
    """The agent, named as every durable engine wants it named."""
    provider = AnthropicProvider(api_key=told.model_key, base_url=told.model_url)
    return Agent(
        AnthropicModel(MODEL, provider=provider),
        name="looker",
        system_prompt=SYSTEM,
        tools=[look],
        capabilities=list(capabilities),
        model_settings=ModelSettings(max_tokens=MAX_TOKENS),
    )


async def converse(agent: Agent, steps: int, conversations: int, meter: Meter | None) -> None:
    """All conversations of one run, each another one: a cache by inputs would answer the same one again."""
    if meter:
        meter.begin()
    for n in range(conversations):
        await agent.run(f"{brief(steps)} Conversation {n + 1}.", usage_limits=NO_LIMIT)


def plain(told: Assignment, look: Look) -> Run:
    """No engine: what pydantic-ai itself costs."""
    agent = agent_of(told, look)
    return lambda steps, n, meter: converse(agent, steps, n, meter)


def prefect(told: Assignment, look: Look) -> Run:
    """PrefectDurability: every model and tool call is a persisted task."""
    from prefect import flow
    from pydantic_ai.durable_exec.prefect import PrefectDurability

    agent = agent_of(told, look, PrefectDurability())

    @flow(name="peer", validate_parameters=False)
    async def run(steps: int, conversations: int, meter: Meter | None) -> None:
        await converse(agent, steps, conversations, meter)

    return run


def dbos(told: Assignment, look: Look) -> Run:
    """DBOSDurability on SQLite; the tool is made a step, which it is not by default."""
    from dbos import DBOS, DBOSConfig
    from pydantic_ai.durable_exec.dbos import DBOSDurability

    database = f"sqlite:///{Path(told.home) / 'dbos.sqlite'}"
    DBOS(config=DBOSConfig(name="peer", system_database_url=database, run_admin_server=False))
    step = DBOS.step(name="get_ticket")(look)

    async def get_ticket(id: str) -> str:
        return await step(id)

    agent = agent_of(told, get_ticket, DBOSDurability())
    meters: list[Meter] = []

    @DBOS.workflow(name="peer")
    async def workflow(steps: int, conversations: int) -> None:
        await converse(agent, steps, conversations, meters[0] if meters else None)

    DBOS.launch()

    async def run(steps: int, conversations: int, meter: Meter | None) -> None:
        meters[:] = [meter] if meter else []
        await workflow(steps, conversations)

    return run


ENGINES = {"plain": plain, "prefect": prefect, "dbos": dbos}


async def contend(told: Assignment, meter: Meter) -> Report:
    """Warm up and measure."""
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {told.tools_token}"}, timeout=120)
        )
        tools = await stack.enter_async_context(
            Client(streamable_http_client(told.tools_url, http_client=http))
        )

        async def get_ticket(id: str) -> str:
            """One ticket with its comments."""
            answer = await tools.call_tool("get_ticket", {"id": id})
            return "\n".join(getattr(part, "text", "") for part in answer.content)

        run = ENGINES[sys.argv[1]](told, get_ticket)
        await run(WARM_STEPS, 1, None)
        await meter.settle()
        await run(told.steps, told.conversations, meter)
        return Report(await meter.end(told.all_steps))


if __name__ == "__main__":
    serve(contend)
