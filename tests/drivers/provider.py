"""What do the tests of the model driver ask, and how do they talk to the scripted provider beside it?"""

import json
import urllib.request
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st

from drivers.model import AnthropicModel
from governance.conversation import ModelRequest, ToolSpec, user
from governance.errors import DriverError
from governance.parts import Json

KEY = "sk-ant-canary-3f9a1c77e2"
MODEL = "claude-sonnet-4-6"
TEXT = {"type": "string"}
TOOLS = tuple(
    ToolSpec(f"workspace__{name}", f"{name} in the workspace", {"type": "object", "properties": p})
    for name, p in {
        "run": {"command": TEXT},
        "read": {"path": TEXT},
        "edit": {"path": TEXT, "old": TEXT, "new": TEXT},
    }.items()
)
SMALL = ModelRequest(MODEL, "Role: lead", (user("Say what you can do."),), max_tokens=500)
MAKER = ModelRequest(MODEL, "Role: maker", (user("Mend `pytest -q`."),), TOOLS, max_tokens=500)


def talk(url: str, path: str, body: object = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def streamed(request: ModelRequest) -> ModelRequest:
    return replace(request, max_tokens=20_000)


async def failure(
    model: AnthropicModel, request: ModelRequest, timeout_s: float = 10
) -> DriverError:
    with pytest.raises(DriverError) as caught:
        await model.reply(request, timeout_s=timeout_s)
    return caught.value


BOTH = pytest.mark.parametrize("request_", [SMALL, streamed(SMALL)], ids=["whole", "streamed"])

MESSAGE: Json = {
    "type": "message", "role": "assistant", "id": "msg_1", "model": MODEL,
    "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 4},
}  # fmt: skip
CALL = {"type": "tool_use", "id": "t1", "name": "a", "input": {"x": 1}}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats(allow_nan=True) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
