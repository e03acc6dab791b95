"""Which message do these server-sent events add up to?"""

import json
from collections import defaultdict
from typing import Any, cast

from drivers.model.answer import Untrustworthy
from governance.parts import Json

_GROWING = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


class Stream:
    """One streamed message in the making; `message` gives it once `message_stop` was seen."""

    def __init__(self) -> None:
        self._message: Json | None = None
        self._blocks: dict[int, Json] = {}
        self._written: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
        self._ended = False

    def feed(self, data: str) -> None:
        """Take in the data of one event; types of events we do not know are skipped. Raises `Untrustworthy`."""
        try:
            event = json.loads(data)
        except ValueError as exc:
            raise Untrustworthy("an event of the stream is not JSON") from exc
        if not isinstance(event, dict):
            raise Untrustworthy("an event of the stream is not an object")
        try:
            self._take(cast(Json, event))
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            kind = str(cast(Json, event).get("type"))
            raise Untrustworthy(f"the stream's event {kind[:40]!r} is not well formed") from exc

    def message(self) -> Json:
        """The message as JSON, as the body of a call without streaming would be. Raises `Untrustworthy`."""
        if self._message is None or not self._ended:
            begun = "before it began" if self._message is None else "before 'message_stop'"
            raise Untrustworthy(f"the stream ended {begun}")
        for (index, field), pieces in self._written.items():
            block, text = self._blocks[index], "".join(pieces)
            if field == "partial_json":
                block["input"] = self._arguments(text) if text else block.get("input")
            else:
                block[field] = str(block.get(field) or "") + text
        return {**self._message, "content": [self._blocks[i] for i in sorted(self._blocks)]}

    def _arguments(self, text: str) -> object:
        try:
            return json.loads(text)
        except ValueError:
            # Cut off at `max_tokens` it is a whole answer with half a call, which nobody runs. With `tool_use` the
            # missing arguments are found when the reply is judged.
            cut_off = self._message is not None and self._message.get("stop_reason") != "tool_use"
            return {} if cut_off else None

    def _take(self, event: Json) -> None:
        match event.get("type"):
            case "message_start":
                self._message = dict(event["message"])
            case "content_block_start":
                self._blocks[event["index"]] = dict(event["content_block"])
            case "content_block_delta":
                self._grow(event["index"], event["delta"])
            case "message_delta":
                self._finish(event)
            case "message_stop":
                self._ended = True
            case "error":
                error: Json = event["error"]
                raise Untrustworthy(
                    f"the stream broke off with {error.get('type')!r}: {error.get('message')}"
                )
            case _:
                pass

    def _grow(self, index: int, delta: Json) -> None:
        block, kind = self._blocks[index], str(delta["type"])
        if kind in _GROWING:
            piece = delta[_GROWING[kind]]
            if not isinstance(piece, str):
                raise TypeError(kind)
            self._written[index, _GROWING[kind]].append(piece)
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta["citation"]]
        else:
            raise Untrustworthy(f"the stream carries a delta of unknown type {kind[:40]!r}")

    def _finish(self, event: Json) -> None:
        if self._message is None:
            raise Untrustworthy("the stream ends a message that it never began")
        self._message.update(event["delta"])
        final: Any = event.get("usage")
        # The counts of `message_start` are those before anything was written; without final ones none are known.
        if isinstance(final, dict):
            told = {k: v for k, v in cast(Json, final).items() if v is not None}
            self._message["usage"] = {**(self._message.get("usage") or {}), **told}
        else:
            self._message["usage"] = None
