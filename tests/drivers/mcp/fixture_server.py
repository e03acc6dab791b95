"""A server with every bad habit we must survive: `fixture_server.py stdio|http [--legacy] [--json] [--port N]`."""

import argparse
import asyncio
import os
import sys
from typing import Any

import anyio
import uvicorn
from mcp import types
from mcp.server import Server
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage

OBJECT = {"type": "object"}
READ_ONLY = types.ToolAnnotations(read_only_hint=True)
NAMES = (
    "echo",
    "meta",
    "slow",
    "big",
    "media",
    "structured",
    "asks",
    "boom",
    "leak",
    "exit",
    "odd",
)


def text(value: str, **more: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=value)], **more)


def media() -> types.CallToolResult:
    return types.CallToolResult(
        content=[
            types.ImageContent(type="image", data="aGVsbG8=", mime_type="image/png"),
            types.ResourceLink(type="resource_link", uri="file:///x", name="x"),
            types.EmbeddedResource(
                type="resource",
                resource=types.TextResourceContents(uri="mem://note", text="a note"),
            ),
        ]
    )


def asks() -> types.InputRequiredResult:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    params = types.ElicitRequestFormParams(message="Who?", requested_schema=schema)
    return types.InputRequiredResult(
        input_requests={"who": types.ElicitRequest(params=params)}, request_state="s"
    )


async def slow(seconds: float) -> types.CallToolResult:
    await asyncio.sleep(seconds)
    return text("done")


def hang() -> types.CallToolResult:
    while True:
        pass


def odd() -> types.CallToolResult:
    raise MCPError(-32000, "Connection closed")


def leak(ctx: Any) -> types.CallToolResult:
    headers = dict(ctx.request.headers) if ctx.request else dict(os.environ)
    raise MCPError(-32603, f"upstream refused: {headers}")


TOOLS: dict[str, Any] = {
    "echo": lambda ctx, given: text(str(given.get("text", ""))),
    "meta": lambda ctx, given: text(str((ctx.meta or {}).get("looprail/idempotency-key"))),
    "slow": lambda ctx, given: slow(given["seconds"]),
    "hang": lambda ctx, given: hang(),
    "big": lambda ctx, given: text("x" * given["bytes"]),
    "media": lambda ctx, given: media(),
    "structured": lambda ctx, given: types.CallToolResult(
        content=[], structured_content={"b": 1, "a": [1, 2]}
    ),
    "odd": lambda ctx, given: odd(),
    "asks": lambda ctx, given: asks(),
    "boom": lambda ctx, given: text("the widget is out of stock", is_error=True),
    "leak": lambda ctx, given: leak(ctx),
    "exit": lambda ctx, given: os._exit(3),
}


async def call(ctx: Any, params: types.CallToolRequestParams) -> Any:
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    answer = tool(ctx, params.arguments or {})
    return await answer if asyncio.iscoroutine(answer) else answer


async def listed(ctx: Any, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    if params is None or params.cursor is None:
        tools = [types.Tool(name=n, description=f"Does {n}.", input_schema=OBJECT) for n in TOOLS]
        return types.ListToolsResult(tools=tools, next_cursor="2")
    return types.ListToolsResult(
        tools=[
            types.Tool(name="look", input_schema=OBJECT, annotations=READ_ONLY),
            types.Tool(name="twice", input_schema=OBJECT),
            types.Tool(name="Twice", input_schema=OBJECT),
            types.Tool(name="s\u0435nd", input_schema=OBJECT),
        ]
    )


async def no_discover(ctx: Any, call_next: Any) -> Any:
    if ctx.method == "server/discover":
        raise MCPError(types.METHOD_NOT_FOUND, "Method not found")
    return await call_next(ctx)


async def knowing_no_discover(read: Any, forward: Any, write: Any) -> None:
    """The SDK's server would take `server/discover` for a modern client and stay modern."""
    async with forward:
        async for item in read:
            if getattr(item.message, "method", "") != "server/discover":
                await forward.send(item)
                continue
            error = types.ErrorData(code=types.METHOD_NOT_FOUND, message="Method not found")
            answer = types.JSONRPCError(jsonrpc="2.0", id=item.message.id, error=error)
            await write.send(SessionMessage(answer))


async def over_stdio(server: Server[Any], legacy: bool) -> None:
    print("a banner on stdout", flush=True)
    print("a word on stderr", file=sys.stderr, flush=True)
    async with stdio_server() as (read, write), anyio.create_task_group() as tasks:
        if legacy:
            forward, kept = anyio.create_memory_object_stream[Any](0)
            tasks.start_soon(knowing_no_discover, read, forward, write)
            read = kept
        await server.run(read, write, server.create_initialization_options())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("transport", choices=["stdio", "http"])
    parser.add_argument("--legacy", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    server: Server[Any] = Server("fixture", on_list_tools=listed, on_call_tool=call)
    if options.transport == "stdio":
        anyio.run(over_stdio, server, options.legacy)
    else:
        if options.legacy:
            server.middleware.append(no_discover)
        app = server.streamable_http_app(json_response=options.json)
        uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
