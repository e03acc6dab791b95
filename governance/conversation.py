"""What did a model and its tools say to each other, and is it the same conversation as before?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from governance.parts import Json, digest

EMPTY_HEAD = digest("")


@dataclass(frozen=True)
class Usage:
    """Tokens of one model call, counted inclusively (OpenTelemetry GenAI): cached tokens are part of input."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    thinking_tokens: int = 0

    @property
    def total(self) -> int:
        """Input plus output, cache reads included: what `max_tokens_per_run` counts."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class ToolCall:
    """A model's request to act. `id` is the provider's and is never part of a key."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True)
class ToolSpec:
    """One tool as its connector describes it; hints are None where the connector says nothing."""

    name: str
    description: str
    input_schema: Json
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None

    @property
    def digest(self) -> str:
        """Changes when one byte of name, description, schema or hints does."""
        return digest(
            [
                self.name,
                self.description,
                self.input_schema,
                [self.read_only, self.destructive, self.idempotent, self.open_world],
            ]
        )


@dataclass(frozen=True)
class ToolResult:
    """What a tool answered. `text` is what the model will see; `truncated` when the cap cut it."""

    text: str
    is_error: bool = False
    structured: Json | None = None
    truncated: bool = False

    @property
    def data(self) -> object:
        """The answer as a JSON value: structured content (unwrapped), else the text if it is JSON, else None."""
        if self.structured is not None:
            return self.structured.get("result", self.structured)
        try:
            return json.loads(self.text)
        except ValueError:
            return None


@dataclass(frozen=True)
class ModelRequest:
    """One call of a model, in the Messages API's own content blocks."""

    model: str
    system: str
    messages: tuple[Json, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 8192
    schema: Json | None = None
    """JSON Schema the answer must follow (`output_config.format`), or None for free text."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Reply:
    """What a model answered, already found to be whole: `stop` is set and usage is present."""

    content: tuple[Json, ...]
    stop: str
    usage: Usage
    model: str
    response_id: str
    request_id: str | None = None

    @property
    def text(self) -> str:
        """The text blocks, joined."""
        return "\n".join(str(b.get("text", "")) for b in self.content if b.get("type") == "text")

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in the model's order; none unless the model stopped to use tools."""
        if self.stop != "tool_use":
            return ()
        return tuple(
            ToolCall(str(b["id"]), str(b["name"]), dict(b.get("input") or {}))
            for b in self.content
            if b.get("type") == "tool_use"
        )

    def as_json(self) -> Json:
        """The stored form; `from_json` reads it back."""
        return {
            "content": list(self.content),
            "stop": self.stop,
            "usage": vars(self.usage),
            "model": self.model,
            "response_id": self.response_id,
            "request_id": self.request_id,
        }

    @classmethod
    def from_json(cls, stored: Json) -> "Reply":
        """A reply as `as_json` wrote it."""
        return cls(
            content=tuple(stored["content"]),
            stop=stored["stop"],
            usage=Usage(**stored["usage"]),
            model=stored["model"],
            response_id=stored["response_id"],
            request_id=stored["request_id"],
        )


def user(text: str) -> Json:
    """A user message of one text block."""
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def assistant(reply: Reply) -> Json:
    """The reply as the next request must carry it."""
    return {"role": "assistant", "content": list(reply.content)}


def tool_results(results: tuple[tuple[ToolCall, ToolResult], ...]) -> Json:
    """The answers to one reply's calls, in the model's order."""
    return {
        "role": "user",
        "content": [
            {
                "type": "tool_result",
                "tool_use_id": call.id,
                "content": [{"type": "text", "text": result.text or "(no output)"}],
                "is_error": result.is_error,
            }
            for call, result in results
        ],
    }


def chain(head: str, messages: tuple[Json, ...]) -> str:
    """H(previous head, new messages): equal heads mean equal conversations."""
    return digest([head, list(messages)]) if messages else head
