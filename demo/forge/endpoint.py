"""How does a table of tools become an MCP server that keeps count and never does one thing twice?"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from mcp import types
from mcp.server import Server
from mcp.shared.exceptions import MCPError

from demo.forge.state import State

KEY = "looprail/idempotency-key"
Arguments = dict[str, Any]


class Refused(Exception):
    """The tool cannot do what it was asked; the text is the answer."""


@dataclass(frozen=True)
class Tool:
    """One tool: what it says about itself, and what it does."""

    name: str
    description: str
    properties: dict[str, Any]
    run: Callable[[Arguments], Awaitable[Any]]
    required: tuple[str, ...] = ()
    read_only: bool = True
    destructive: bool = False
    idempotent: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments."""
        return {
            "type": "object",
            "properties": self.properties,
            "required": list(self.required),
            "additionalProperties": False,
        }

    def listed(self) -> types.Tool:
        """As `tools/list` shows it."""
        hints = types.ToolAnnotations(
            read_only_hint=self.read_only,
            destructive_hint=self.destructive,
            idempotent_hint=self.idempotent or self.read_only,
            open_world_hint=False,
        )
        return types.Tool(
            name=self.name,
            description=self.description,
            input_schema=self.schema,
            annotations=hints,
        )


class Endpoint:
    """One MCP server of the forge."""

    def __init__(self, name: str, tools: tuple[Tool, ...], state: State) -> None:
        self.name = name
        self._tools = {tool.name: tool for tool in tools}
        self._state = state
        self._writing = asyncio.Lock()
        self.server: Server[Any] = Server(name, on_list_tools=self._list, on_call_tool=self._call)

    async def _list(
        self, ctx: Any, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.listed() for tool in self._tools.values()])

    async def _call(self, ctx: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = self._tools.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        given, key = params.arguments or {}, (ctx.meta or {}).get(KEY)
        if tool.read_only:
            return _result(*await self._act(tool, given, key))
        async with self._writing:
            return _result(*await self._once(tool, given, key))

    async def _once(self, tool: Tool, given: Arguments, key: str | None) -> tuple[Any, bool]:
        """The first result of this key again, or a new one; the effect and its entry stand or fall together."""
        first = self._first(key)
        if first and (first["tool"], first["arguments"]) != (tool.name, _plain(given)):
            answer = f"The idempotency key {key!r} was used for another call of {first['tool']!r}."
            self._enter(tool, given, key, answer, is_error=True, replayed=False)
            return answer, True
        if first:
            answer, is_error = json.loads(first["result"]), bool(first["is_error"])
            self._enter(tool, given, key, answer, is_error=is_error, replayed=True)
            return answer, is_error
        self._state.begin()
        try:
            outcome = await self._act(tool, given, key)
        except BaseException:
            self._state.end(keep=False)
            raise
        self._state.end(keep=True)
        return outcome

    async def _act(self, tool: Tool, given: Arguments, key: str | None) -> tuple[Any, bool]:
        wrong = [error.message for error in Draft202012Validator(tool.schema).iter_errors(given)]
        try:
            if wrong:
                raise Refused("; ".join(wrong))
            answer, is_error = await tool.run(given), False
        except Refused as refused:
            answer, is_error = str(refused), True
        self._enter(tool, given, key, answer, is_error=is_error, replayed=False)
        return answer, is_error

    def _first(self, key: str | None) -> dict[str, Any] | None:
        return (
            None
            if key is None
            else self._state.row(
                "SELECT * FROM calls WHERE connector = ? AND key = ? AND replayed = 0 ORDER BY id LIMIT 1",
                self.name,
                key,
            )
        )

    def _enter(
        self,
        tool: Tool,
        given: Arguments,
        key: str | None,
        answer: Any,
        *,
        is_error: bool,
        replayed: bool,
    ) -> None:
        self._state.write(
            "INSERT INTO calls(connector, tool, key, arguments, is_error, replayed, result) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            self.name,
            tool.name,
            key,
            _plain(given),
            is_error,
            replayed,
            json.dumps(answer),
        )


def _plain(given: Arguments) -> str:
    return json.dumps(given, sort_keys=True)


def _result(answer: Any, is_error: bool) -> types.CallToolResult:
    """Text that a model can read, and the same as structured content; a list stands under `result`."""
    if is_error:
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=answer)], is_error=True
        )
    text = types.TextContent(type="text", text=json.dumps(answer, ensure_ascii=False, indent=1))
    structured = answer if isinstance(answer, dict) else {"result": answer}
    return types.CallToolResult(content=[text], structured_content=structured)
