"""How does this provider tell an organisation what it was billed for?

As Anthropic's Usage and Cost Admin API does: daily buckets in UTC, grouped by model, page by page.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from starlette.datastructures import QueryParams

from demo.model.bill import PRICE_LIST, Call
from demo.model.view import Json

_METERS = (
    "uncached_input_tokens", "output_tokens", "cache_read_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens", "cache_creation.ephemeral_1h_input_tokens",
)  # fmt: skip
"""As the price list orders them."""
_MOST_DAYS = 31


def usage(calls: Sequence[Call], asked: QueryParams) -> Json:
    """`GET /v1/organizations/usage_report/messages`."""
    return _paged(asked, lambda day: [_used(calls, day, model) for model in _models(calls, day)])


def cost(calls: Sequence[Call], asked: QueryParams) -> Json:
    """`GET /v1/organizations/cost_report`: amounts are decimal texts in cents."""
    return _paged(asked, lambda day: list(_costs(calls, day)))


REPORTS: dict[str, Callable[[Sequence[Call], QueryParams], Json]] = {
    "usage_report/messages": usage,
    "cost_report": cost,
}


def _paged(asked: QueryParams, results: Callable[[date], list[Json]]) -> Json:
    first, end = (_moment(asked, name).date() for name in ("starting_at", "ending_at"))
    if asked.get("bucket_width", "1d") != "1d":
        raise ValueError("bucket_width: only 1d is told here")
    limit = int(asked.get("limit", "7"))
    if not 1 <= limit <= _MOST_DAYS:
        raise ValueError(f"limit: at most {_MOST_DAYS}")
    at = date.fromisoformat(asked["page"].removeprefix("page_")) if "page" in asked else first
    days = [at + timedelta(n) for n in range(limit) if at + timedelta(n) < end]
    after = at + timedelta(limit)
    return {
        "data": [
            {"starting_at": _start(day), "ending_at": _start(day + timedelta(1)), "results": results(day)}
            for day in days
        ],
        "has_more": after < end,
        "next_page": f"page_{after}" if after < end else None,
    }  # fmt: skip


def _used(calls: Sequence[Call], day: date, model: str) -> Json:
    ours = [call for call in calls if (call.day, call.model) == (day, model)]
    plain, output, read, minutes, hour = (sum(n) for n in zip(*map(_amounts, ours), strict=True))
    return {
        "uncached_input_tokens": plain, "cache_read_input_tokens": read, "output_tokens": output,
        "cache_creation": {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour},
        "server_tool_use": {"web_search_requests": 0},
        "model": model, "api_key_id": None, "workspace_id": None, "service_tier": None, "context_window": None,
    }  # fmt: skip


def _costs(calls: Sequence[Call], day: date) -> Iterator[Json]:
    for model in _models(calls, day):
        ours = [_amounts(call) for call in calls if (call.day, call.model) == (day, model)]
        for meter, counts, unit in zip(
            _METERS, zip(*ours, strict=True), PRICE_LIST[model], strict=True
        ):
            if total := sum(counts) * unit:
                yield {
                    "currency": "USD", "amount": f"{Decimal(total) / 10**10:f}", "workspace_id": None,
                    "description": f"{model} Usage - {meter}", "cost_type": "tokens", "token_type": meter,
                    "model": model, "service_tier": "standard", "context_window": "0-200k",
                }  # fmt: skip


def _amounts(call: Call) -> tuple[int, ...]:
    tokens = call.tokens
    return (
        tokens.plain,
        call.output,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
    )


def _models(calls: Sequence[Call], day: date) -> list[str]:
    return sorted({call.model for call in calls if call.day == day})


def _moment(asked: QueryParams, name: str) -> datetime:
    if name not in asked:
        raise ValueError(f"{name}: Field required")
    return datetime.fromisoformat(asked[name]).astimezone(UTC)


def _start(day: date) -> str:
    return f"{day}T00:00:00Z"
