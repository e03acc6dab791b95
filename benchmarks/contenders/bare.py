"""The baseline: two bare persisted Prefect tasks a step, around the vendors' own SDK calls.

What somebody writes who wants only what Prefect gives: results kept under a key of their own, so that a second run
finds them. No limit, no budget, no ledger, no rule, no screening. The conversation is never a task's input.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx2
from anthropic import AsyncAnthropic
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from prefect import flow, task

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

Json = dict[str, Any]


@dataclass
class Hand:
    """What the tasks use: clients, and the conversation so far."""

    model: AsyncAnthropic
    tools: Client
    listed: list[Json]
    messages: list[Json] = field(default_factory=list[Json])


HAND: list[Hand] = []


def _key(_: object, parameters: Json) -> str:
    return parameters["key"].replace("/", "-")


@task(persist_result=True, cache_key_fn=_key)
async def think(key: str) -> Json:
    """One model call."""
    hand = HAND[0]
    # Plain dictionaries, as the API takes them; the SDK's types want one class for each block.
    asked: Any = {"system": SYSTEM, "messages": hand.messages, "tools": hand.listed}
    answer = await hand.model.messages.create(model=MODEL, max_tokens=MAX_TOKENS, **asked)
    return answer.model_dump()


@task(persist_result=True, cache_key_fn=_key)
async def use(key: str, name: str, arguments: Json) -> str:
    """One tool call."""
    answer = await HAND[0].tools.call_tool(name, arguments)
    return "\n".join(getattr(part, "text", "") for part in answer.content)


async def converse(name: str, steps: int) -> None:
    """One conversation, from its brief to the last word."""
    messages = HAND[0].messages = [{"role": "user", "content": brief(steps)}]
    for step in range(steps + 1):
        reply = await think(f"{name}-{step}-0")
        messages.append({"role": "assistant", "content": _said(reply)})
        calls = [block for block in reply["content"] if block["type"] == "tool_use"]
        if not calls:
            return
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "content": await use(f"{name}-{step}-{n}", call["name"], call["input"]),
            }
            for n, call in enumerate(calls, 1)
        ]
        messages.append({"role": "user", "content": results})


def _said(reply: Json) -> list[Json]:
    kept = {"text": ("type", "text"), "tool_use": ("type", "id", "name", "input")}
    return [{k: block[k] for k in kept[block["type"]]} for block in reply["content"]]


@flow
async def looks(name: str, steps: int, conversations: int, meter: Meter | None = None) -> None:
    """All conversations of one run."""
    if meter:
        meter.begin()
    for n in range(conversations):
        await converse(f"{name}-{n}", steps)


async def open_hand(told: Assignment, stack: AsyncExitStack) -> Hand:
    """Clients as their vendors recommend: one of each, kept open."""
    http = await stack.enter_async_context(
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {told.tools_token}"}, timeout=120)
    )
    tools = await stack.enter_async_context(
        Client(streamable_http_client(told.tools_url, http_client=http))
    )
    model = await stack.enter_async_context(
        AsyncAnthropic(api_key=told.model_key, base_url=told.model_url, max_retries=0)
    )
    listed = [
        {"name": t.name, "description": t.description or "", "input_schema": t.input_schema}
        for t in (await tools.list_tools()).tools
        if t.name == "get_ticket"
    ]
    return Hand(model, tools, listed)


async def contend(told: Assignment, meter: Meter) -> Report:
    """Warm up, measure, and measure again when everything is cached."""
    async with AsyncExitStack() as stack:
        HAND.append(await open_hand(told, stack))
        await looks(f"{told.home}-warm", WARM_STEPS, 1)
        await meter.settle()
        await looks(told.home, told.steps, told.conversations, meter)
        fresh = await meter.end(told.all_steps)
        await looks(told.home, told.steps, told.conversations, meter)
        return Report(fresh, await meter.end(told.all_steps))


if __name__ == "__main__":
    serve(contend)
