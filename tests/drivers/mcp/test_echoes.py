"""Does a credential come back from a server that has it, by whatever way and in whatever spelling?"""

import json
from collections.abc import AsyncIterator, Iterator

import pytest

from drivers.mcp import McpConnector
from governance.errors import DriverError
from governance.guardrails import Screen
from tests.drivers.mcp.parrot import BREAKS, SAYS, Parrot

TOKEN = "parrot-5fA_9-kq81ZzY7wT"
HELD = Screen((TOKEN,))


@pytest.fixture
def parrot() -> Iterator[Parrot]:
    server = Parrot()
    yield server
    server.close()


@pytest.fixture
async def connector(parrot: Parrot) -> AsyncIterator[McpConnector]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with McpConnector.http("parrot", parrot.url, headers=headers) as made:
        yield made


async def test_no_tool_it_offers_says_it(connector: McpConnector, parrot: Parrot) -> None:
    tools = await connector.tools()
    assert [t.name for t in tools] == [*SAYS, *BREAKS]
    assert HELD.clean([vars(t) for t in tools])
    assert connector.left_out == {
        "say-[secret]": "its name holds a credential of ours",
        "say [secret]": "a name is 1 to 128 of A-Z a-z 0-9 _ . -",
    }
    assert set(parrot.heard) == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("tool", SAYS)
async def test_no_answer_says_it(connector: McpConnector, tool: str) -> None:
    answer = await connector.call(tool, {}, key="k", timeout_s=10, max_bytes=100_000)
    assert "[secret]" in json.dumps(vars(answer))
    assert HELD.clean(vars(answer))
    assert answer.is_error == (tool in ("fails", "errors"))


@pytest.mark.parametrize("tool", BREAKS)
async def test_no_refusal_says_it_and_no_redirect_is_followed(
    connector: McpConnector, parrot: Parrot, tool: str
) -> None:
    with pytest.raises(DriverError) as failed:
        await connector.call(tool, {}, key="k", timeout_s=10, max_bytes=100_000)
    assert HELD.clean(str(failed.value))
    assert HELD.clean(repr(failed.value.__context__) + repr(failed.value.__cause__))
    assert parrot.asked == [tool]
    assert parrot.followed == []
