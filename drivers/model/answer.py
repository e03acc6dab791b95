"""Is this a whole answer, and what was billed for it?

The SDK's own reading lets HTML, a missing usage and a stream cut in half pass as an answer
(research of anthropic 2.12.0, seen again on 2.8.0), so the JSON is judged here.
"""

from typing import cast

from governance.conversation import Reply, Usage
from governance.parts import Json, canonical

MOST_TOKENS = 10**9
"""No call has more; a count beyond it is a fault that would outgrow the store's numbers."""


class Untrustworthy(Exception):
    """What came back is no answer that can be acted on or accounted for; it may still be billed."""


def reply_of(message: object, request_id: str | None) -> Reply:
    """The reply in a Messages API response.

    Block types and stop reasons we do not know pass as they are. Raises `Untrustworthy`.
    """
    if not isinstance(message, dict):
        raise Untrustworthy(f"the body is {_kind(message)}, not a message")
    found = cast(Json, message)
    if found.get("type") != "message" or found.get("role") != "assistant":
        raise Untrustworthy(
            f"the body is of type {_kind(found.get('type'))}, not an assistant message"
        )
    stop = found.get("stop_reason")
    if not isinstance(stop, str) or not stop:
        raise Untrustworthy("the answer ends without a stop reason: it was cut off")
    model, response_id = found.get("model"), found.get("id")
    if not isinstance(model, str) or not isinstance(response_id, str):
        raise Untrustworthy("the answer names no model or no id")
    return Reply(
        content=_content(found.get("content"), stop),
        stop=stop,
        usage=usage_of(found.get("usage"), model),
        model=model,
        response_id=response_id,
        request_id=request_id,
    )


def _content(content: object, stop: str) -> tuple[Json, ...]:
    blocks = cast(list[Json], content) if isinstance(content, list) else None
    if blocks is None or not all(_is_block(block) for block in blocks):
        raise Untrustworthy("the answer's content is not a list of blocks")
    try:
        canonical(blocks).encode()
    except ValueError as exc:
        raise Untrustworthy("the answer's content is not valid JSON in UTF-8") from exc
    if stop == "tool_use":
        _check_calls([block for block in blocks if block["type"] == "tool_use"])
    return tuple(blocks)


def _is_block(block: object) -> bool:
    return isinstance(block, dict) and isinstance(cast(Json, block).get("type"), str)


def _check_calls(calls: list[Json]) -> None:
    ids = [call.get("id") for call in calls]
    if not all(
        isinstance(call.get("id"), str)
        and isinstance(call.get("name"), str)
        and isinstance(call.get("input"), dict)
        for call in calls
    ):
        raise Untrustworthy("a tool call has no id, no name, or arguments that are not an object")
    if len(set(ids)) != len(ids):
        raise Untrustworthy("two tool calls share one id")


def usage_of(usage: object, model: str) -> Usage:
    """Tokens in our inclusive counts; what the provider did besides (`iterations`) is added in.

    The provider counts input beside cache reads and writes, we count all of them as input. Raises `Untrustworthy` when
    counts are missing, or when something was used that no price of `model` covers.
    """
    if not isinstance(usage, dict):
        raise Untrustworthy("the answer has no usage")
    found = cast(Json, usage)
    for name, ordinary in _ORDINARY.items():
        if found.get(name) not in (None, *ordinary):
            raise Untrustworthy(
                f"the answer was made with {name} {_kind(found[name])}, which has a price of its own that no price "
                "book here knows"
            )
    served = found.get("server_tool_use") or {}
    if not isinstance(served, dict) or any(
        _count(cast(Json, served), name) for name in cast(Json, served)
    ):
        raise Untrustworthy("the provider ran tools of its own, which were not asked for")
    passes = [cast(Json, p) for p in found.get("iterations") or [] if isinstance(p, dict)]
    if not passes:
        return _usage(found)
    others = sorted({str(p["model"]) for p in passes if p.get("model") not in (None, model)})
    if others:
        raise Untrustworthy(f"the answer was also worked on by {', '.join(map(repr, others))}")
    each = [_usage(p) for p in passes]
    total = {name: sum(getattr(u, name) for u in each) for name in vars(each[0])}
    thought = _count(found.get("output_tokens_details") or {}, "thinking_tokens")
    return Usage(**{**total, "thinking_tokens": max(total["thinking_tokens"], thought)})


_ORDINARY = {
    "service_tier": ("standard",),
    "speed": ("standard",),
    "inference_geo": ("global", "not_available", ""),
}
"""What a call was made with where the unit prices hold as they stand: no batch, priority or fast one, none kept in one region."""


def _usage(found: Json) -> Usage:
    split: Json = found.get("cache_creation") or {}
    written = _count(found, "cache_creation_input_tokens")
    hour = _count(split, "ephemeral_1h_input_tokens")
    # What is not in the split was written with the default time to live.
    minutes = max(_count(split, "ephemeral_5m_input_tokens"), written - hour)
    read = _count(found, "cache_read_input_tokens")
    return Usage(
        input_tokens=_count(found, "input_tokens", required=True) + read + minutes + hour,
        output_tokens=_count(found, "output_tokens", required=True),
        cache_read_tokens=read,
        cache_write_5m_tokens=minutes,
        cache_write_1h_tokens=hour,
        thinking_tokens=_count(found.get("output_tokens_details") or {}, "thinking_tokens"),
    )


def _count(found: object, name: str, *, required: bool = False) -> int:
    value = cast(Json, found).get(name) if isinstance(found, dict) else found
    if value is None and not required:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_TOKENS:
        raise Untrustworthy(f"the usage says {name!r} is {_kind(value)}, not a count")
    return value


def _kind(value: object) -> str:
    """A value as an error may show it: short, and never the content of a body."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return f"text of {len(value):,} characters" if len(value) > 40 else repr(value)
    return repr(value) if isinstance(value, bool | int | float) else f"a {type(value).__name__}"
