"""What is to go wrong, and with which calls?"""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from demo.model.view import Json

Kind = Literal[
    "status",  # an error status with its body; not billed
    "hang",  # no byte is answered; billed
    "slow",  # the answer comes late
    "held",  # the answer comes once the faults are taken back
    "html",  # 200 with a web page; billed
    "malformed",  # 200 with broken JSON, streamed or not; billed
    "no_usage",  # an answer without usage; billed
    "truncated",  # the stream or the body ends half way; billed
    "stream_error",  # `event: error` in mid-stream; billed
    "stop",  # a whole answer with another stop reason
    "odd_block",  # a whole answer with a block of unknown type
    "redirect",  # 307 to `location`
]


class Fault(BaseModel):
    """One thing to go wrong with the next `times` calls that match."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    times: Annotated[int, Field(gt=0)] = 1
    model: str | None = None
    """Only calls of this model."""
    role: str | None = None
    """Only calls whose system prompt begins with `Role: <role>`."""
    path: Literal["/v1/messages", "/v1/messages/count_tokens"] = "/v1/messages"
    status: int = 500
    error: str = "api_error"
    """`error.type` of the body."""
    error_code: str | None = None
    message: str = "told to fail"
    """`{authorization}` in it becomes the request's own header, as a careless proxy would echo it."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with an error status, such as `retry-after`."""
    seconds: float = 0.0
    """How long `slow` takes."""
    stop: str = "max_tokens"
    location: str = ""

    def matches(self, path: str, body: Json, role: str) -> bool:
        """Whether this call is meant."""
        wanted = ((self.path, path), (self.model, body.get("model")), (self.role, role))
        return all(want is None or want == have for want, have in wanted)


_MANY = TypeAdapter(list[Fault])


class Faults:
    """The faults still to happen, in the order they were set."""

    def __init__(self, waiting: list[Fault] | None = None) -> None:
        self.waiting = waiting or []
        self._taken_back = asyncio.Event()

    def set(self, told: object) -> None:
        """Add one fault or a list of them. Raises pydantic's `ValidationError`."""
        self.waiting += _MANY.validate_python(told if isinstance(told, list) else [told])

    def next(self, path: str, body: Json, role: str) -> Fault | None:
        """The first fault meant for this call, used up once."""
        for fault in self.waiting:
            if fault.matches(path, body, role):
                fault.times -= 1
                if fault.times == 0:
                    self.waiting.remove(fault)
                return fault
        return None

    def take_back(self) -> None:
        """None of them happens any more; what is held goes on."""
        self.waiting.clear()
        self._taken_back.set()
        self._taken_back = asyncio.Event()

    async def until_taken_back(self) -> None:
        """Return when the faults of now are taken back."""
        await self._taken_back.wait()


def faults_from(told: str | None) -> Faults:
    """The faults of `--faults`: JSON, or the path of a file with it. Raises `ValueError` for what is neither."""
    faults = Faults()
    if told is not None:
        text = told if told.lstrip().startswith(("[", "{")) else Path(told).read_text()
        faults.set(json.loads(text))
    return faults
