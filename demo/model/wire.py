"""How does an answer travel: in one piece, or as events?"""

import hashlib
import json
from collections.abc import Iterator

from demo.model.prefix_cache import Tokens, tokens_of
from demo.model.view import Json, Move

_PIECE = 24


def message_of(move: Move, body: Json, tokens: Tokens, number: int) -> Json:
    """The Messages API's answer for a move, cut off where `max_tokens` ends it."""
    # Ids differ from call to call, as a provider's do: nothing may be keyed by them.
    seed = hashlib.sha256(f"{number}\0{json.dumps(body)}".encode()).hexdigest()
    content: list[Json] = [{"type": "text", "text": move.text}] if move.text else []
    content += [
        {"type": "tool_use", "id": f"toolu_{seed[:18]}{i:02}", "name": name, "input": arguments}
        for i, (name, arguments) in enumerate(move.calls)
    ]
    stop = "tool_use" if move.calls else "end_turn"
    output, limit = sum(map(_tokens, content)), int(body["max_tokens"])
    if output > limit:
        content, stop, output = _cut(content, limit), "max_tokens", limit
    return {
        "id": f"msg_{seed[:22]}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens.plain,
            "cache_read_input_tokens": tokens.cache_read,
            "cache_creation_input_tokens": tokens.cache_write_5m + tokens.cache_write_1h,
            "cache_creation": {
                "ephemeral_5m_input_tokens": tokens.cache_write_5m,
                "ephemeral_1h_input_tokens": tokens.cache_write_1h,
            },
            "output_tokens": output,
            "service_tier": "standard",
        },
    }


def events_of(message: Json) -> Iterator[tuple[str, Json]]:
    """The same message as server-sent events, by name and data."""
    begun = {**message, "content": [], "stop_reason": None}
    ended: Json = {"delta": {name: message[name] for name in ("stop_reason", "stop_sequence")}}
    if "usage" in message:
        begun["usage"] = {**message["usage"], "output_tokens": 1}
        ended["usage"] = {"output_tokens": message["usage"]["output_tokens"]}
    yield "message_start", {"message": begun}
    yield "ping", {}
    for index, block in enumerate(message["content"]):
        yield from _block_events(index, block)
    yield "message_delta", ended
    yield "message_stop", {}


def event_bytes(name: str, data: Json) -> bytes:
    """One event as it goes over the wire."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def error_body(kind: str, text: str, error_code: str | None = None) -> Json:
    """An error as the Messages API words it."""
    error: Json = {"type": kind, "message": text}
    if error_code:
        error["details"] = {"error_code": error_code}
    return {"type": "error", "error": error, "request_id": "req_scripted"}


def _block_events(index: int, block: Json) -> Iterator[tuple[str, Json]]:
    if block["type"] == "text":
        first, kind, field, text = {**block, "text": ""}, "text_delta", "text", block["text"]
    elif block["type"] == "tool_use":
        first = {**block, "input": {}}
        kind, field, text = "input_json_delta", "partial_json", json.dumps(block["input"])
    else:
        first, kind, field, text = block, "", "", ""
    yield "content_block_start", {"index": index, "content_block": first}
    for start in range(0, len(text), _PIECE):
        delta = {"type": kind, field: text[start : start + _PIECE]}
        yield "content_block_delta", {"index": index, "delta": delta}
    yield "content_block_stop", {"index": index}


def _tokens(block: Json) -> int:
    return tokens_of(block.get("text") or json.dumps([block.get("name"), block.get("input")]))


def _cut(content: list[Json], limit: int) -> list[Json]:
    """What fits: whole blocks, and the beginning of a text."""
    kept: list[Json] = []
    for block in content:
        left = limit - sum(map(_tokens, kept))
        if _tokens(block) > left:
            if block["type"] == "text" and left > 0:
                kept.append(
                    {**block, "text": block["text"].encode()[: 4 * left].decode(errors="ignore")}
                )
            break
        kept.append(block)
    return kept
