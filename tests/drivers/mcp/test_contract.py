"""The same promises over every transport and both eras."""

import sys
from collections.abc import AsyncIterator

import pytest

from drivers.mcp import McpConnector
from governance.conversation import ToolResult
from governance.errors import Unknown
from tests.drivers.mcp.conftest import FIXTURE, MODES, Served

CANARY = "canary-5f2e1d0c"
STDIO = (("stdio",), ("stdio", "--legacy"))


@pytest.fixture(
    scope="session", params=[*STDIO, *(("http", *mode) for mode in MODES)], ids=" ".join
)
async def connector(
    request: pytest.FixtureRequest, servers: dict[tuple[str, ...], Served]
) -> AsyncIterator[McpConnector]:
    transport, *mode = request.param
    if transport == "http":
        url, headers = servers[tuple(mode)].url, {"Authorization": f"Bearer {CANARY}"}
        made = McpConnector.http("fixture", url, headers=headers)
    else:
        command = (sys.executable, FIXTURE, "stdio", *mode)
        made = McpConnector.stdio("fixture", command, env={"TOKEN": CANARY}, isolation="none")
    async with made:
        yield made


async def ask(connector: McpConnector, tool: str, **arguments: object) -> ToolResult:
    return await connector.call(tool, arguments, key="k-1", timeout_s=20, max_bytes=10_000)


async def test_every_page_of_tools_is_listed_with_only_the_hints_that_were_given(
    connector: McpConnector,
) -> None:
    tools = {tool.name: tool for tool in await connector.tools()}
    assert list(tools)[:2] == ["echo", "meta"]
    assert tools["look"].read_only is True
    assert tools["look"].destructive is None
    echo = tools["echo"]
    assert (echo.read_only, echo.destructive, echo.idempotent, echo.open_world) == (None,) * 4
    assert (echo.description, echo.input_schema) == ("Does echo.", {"type": "object"})


async def test_names_that_could_be_mistaken_are_left_out_with_their_reason(
    connector: McpConnector,
) -> None:
    tools = await connector.tools()
    assert {"twice", "Twice", "s\u0435nd"}.isdisjoint(tool.name for tool in tools)
    assert connector.left_out == {
        "twice": "offered 2 times, upper and lower case taken as equal",
        "Twice": "offered 2 times, upper and lower case taken as equal",
        "s\\u0435nd": "a name is 1 to 128 of A-Z a-z 0-9 _ . -",
    }


async def test_text_comes_back_as_it_is(connector: McpConnector) -> None:
    assert await ask(connector, "echo", text="grüß 🙂") == ToolResult("grüß 🙂")


async def test_the_key_reaches_the_server(connector: McpConnector) -> None:
    assert (await ask(connector, "meta")).text == "k-1"


async def test_what_is_not_text_is_named_and_not_shown(connector: McpConnector) -> None:
    assert (await ask(connector, "media")).text == (
        "[image image/png, 5 bytes, not shown]\n"
        "[link to resource file:///x, not fetched]\n"
        "[resource mem://note]\na note"
    )


async def test_a_structured_answer_without_text_is_shown_as_json(connector: McpConnector) -> None:
    assert await ask(connector, "structured") == ToolResult(
        '{"a":[1,2],"b":1}', structured={"b": 1, "a": [1, 2]}
    )


async def test_a_tool_that_wants_a_person_is_told_that_there_is_none() -> None:
    command = (sys.executable, FIXTURE, "stdio")
    async with McpConnector.stdio("fixture", command, isolation="none") as connector:
        assert await ask(connector, "asks") == ToolResult(
            "This tool asks for input from a person before it goes on, which an unattended loop "
            "has not. Nothing was answered. Use another tool, or other arguments.",
            is_error=True,
        )


async def test_nothing_we_hold_shows_the_credential(connector: McpConnector) -> None:
    await ask(connector, "echo", text="hi")
    held = [connector, *vars(connector).values(), *vars(connector._upstream).values()]
    assert CANARY not in repr(held)


async def test_an_error_of_the_tool_is_a_result(connector: McpConnector) -> None:
    assert await ask(connector, "boom") == ToolResult("the widget is out of stock", is_error=True)


async def test_an_unknown_tool_is_a_result(connector: McpConnector) -> None:
    assert await ask(connector, "nope") == ToolResult("Unknown tool: nope", is_error=True)


async def test_an_answer_that_looks_like_a_lost_connection_is_still_an_answer(
    connector: McpConnector,
) -> None:
    assert await ask(connector, "odd") == ToolResult("Connection closed", is_error=True)


async def test_a_credential_echoed_in_an_error_is_masked(connector: McpConnector) -> None:
    result = await ask(connector, "leak")
    assert result.is_error
    assert "[secret]" in result.text
    assert CANARY not in result.text


async def test_a_long_text_is_cut_to_the_cap_and_says_so(connector: McpConnector) -> None:
    result = await connector.call("big", {"bytes": 1_500_000}, key="k", timeout_s=20, max_bytes=200)
    assert result.truncated
    assert not result.is_error
    assert len(result.text.encode()) <= 200
    assert result.text.endswith("x\n[cut here: 1,500,000 bytes in all, at most 200 are shown]")


async def test_a_message_over_the_limit_is_a_clear_error_and_the_connection_goes_on(
    connector: McpConnector,
) -> None:
    assert await ask(connector, "big", bytes=6_000_000) == ToolResult(
        "The answer is larger than 4,194,304 bytes and was not read. Ask for less.",
        is_error=True,
        truncated=True,
    )
    assert (await ask(connector, "echo", text="on")).text == "on"


async def test_a_slow_call_is_unknown_and_others_go_on(connector: McpConnector) -> None:
    with pytest.raises(Unknown) as failed:
        await connector.call("slow", {"seconds": 30}, key="k", timeout_s=0.3, max_bytes=100)
    assert str(failed.value) == "connector 'fixture': gave no answer within 0.3 s"
    assert (await ask(connector, "echo", text="on")).text == "on"


async def test_calls_run_side_by_side(connector: McpConnector) -> None:
    import asyncio
    import time

    begun = time.monotonic()
    results = await asyncio.gather(*(ask(connector, "slow", seconds=0.5) for _ in range(8)))
    assert [result.text for result in results] == ["done"] * 8
    assert time.monotonic() - begun < 3
