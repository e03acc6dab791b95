"""What the provider says it billed reaches us whole, or not at all."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from demo.model.process import running
from drivers.model import AnthropicModel
from drivers.usage_report import AdminApi, read_exports
from drivers.usage_report.admin import PAGE_DAYS
from governance.bill import Billed, Meters, day_of
from governance.errors import DefinitionError, Rejected, Unavailable
from tests.drivers.provider import KEY, MAKER, MODEL, SMALL, streamed, talk

ADMIN = "sk-ant-admin-canary-77d0"
TODAY = (day_of(int(datetime.now(UTC).timestamp() * 1000)),) * 2
USAGE = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed\n"
)
COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd,"
    "cost_type,inference_geo,speed\n"
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--key", KEY, "--admin-key", ADMIN) as base:
        yield base


async def test_the_report_is_the_far_sides_own_count_and_bill(url: str) -> None:
    model = AnthropicModel(url, KEY)
    for request in (SMALL, MAKER, streamed(MAKER)):
        await model.reply(request, timeout_s=10)
    report = await AdminApi(url, ADMIN).report((TODAY[0] - timedelta(70), TODAY[1]), now=1)
    bill = talk(url, "/_bill")
    account = bill["models"][MODEL]
    (line,) = report.billed.values()
    assert list(report.billed) == [(MODEL, TODAY[0])]
    assert line.usd == bill["cost_pico_usd"]
    assert line.tokens == Meters(
        account["input_tokens"], account["cache_read_tokens"], account["cache_write_5m_tokens"],
        account["cache_write_1h_tokens"], account["output_tokens"],
    )  # fmt: skip
    assert report.of("claude-opus-4-8", (TODAY[0] - timedelta(70), TODAY[1])) == Billed(Meters(), 0)


async def test_with_api_keys_of_ours_no_amount_is_told_because_the_cost_report_knows_no_keys(
    url: str,
) -> None:
    report = await AdminApi(url, ADMIN, api_keys=("apikey_1",)).report(TODAY, now=1)
    assert (report.tokens, report.usd) == (TODAY, None)


async def test_another_key_is_refused_with_the_way_out_and_stands_in_no_error(url: str) -> None:
    with pytest.raises(Rejected, match="Admin key") as caught:
        await AdminApi(url, KEY).report(TODAY, now=1)
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None


BUCKET: dict[str, Any] = {
    "starting_at": "2026-11-24T00:00:00Z", "ending_at": "2026-11-25T00:00:00Z",
    "results": [{
        "model": MODEL, "uncached_input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
    }],
}  # fmt: skip
PAGE: dict[str, Any] = {"data": [BUCKET], "has_more": False, "next_page": None}
DAY = (date(2026, 11, 24), date(2026, 11, 24))


async def told(monkeypatch: pytest.MonkeyPatch, *pages: object, status: int = 200) -> Any:
    """A report made of these answers, one after the other."""
    left = list(pages)

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=json.dumps(left.pop(0)))

    real = httpx2.AsyncClient
    monkeypatch.setattr(
        httpx2, "AsyncClient",
        lambda **more: real(transport=httpx2.MockTransport(answer), **more),
    )  # fmt: skip
    return await AdminApi("http://far", ADMIN, api_keys=("k",)).report(DAY, now=1)


async def test_a_report_of_pages_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    first = {"data": [], "has_more": True, "next_page": "p2"}
    report = await told(monkeypatch, first, PAGE)
    assert report.of(MODEL, DAY) == Billed(Meters(1, 2, 3, 4, 5))
    assert PAGE_DAYS == 31


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ({"data": []}, "not what we know, in 'has_more', 'next_page'"),
        ({**PAGE, "has_more": True}, "says there is more, and not where"),
        ({**PAGE, "data": []}, "tells 0 days of 1"),
        ({**PAGE, "data": [BUCKET, BUCKET]}, "tells 2 days of 1"),
        ({**PAGE, "data": [{**BUCKET, "ending_at": "2026-11-24T01:00:00Z"}]}, "each once and whole"),
        ({**PAGE, "data": [{**BUCKET, "results": [{"model": MODEL, "output_tokens": "5"}]}]}, "not what we know"),
    ],
)  # fmt: skip
async def test_a_report_with_a_hole_in_it_is_none(
    monkeypatch: pytest.MonkeyPatch, page: object, why: str
) -> None:
    with pytest.raises(Rejected, match=why):
        await told(monkeypatch, page)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_far_side_that_is_busy_may_be_asked_again(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    with pytest.raises(Unavailable, match=str(status)):
        await told(monkeypatch, {"error": {"message": "later"}}, status=status)


def wrote(directory: Path, name: str, text: str) -> Path:
    (directory / name).write_text(text)
    return directory / name


def test_both_exports_make_one_report(tmp_path: Path) -> None:
    usage = wrote(
        tmp_path, "usage.csv",
        USAGE + "2026-11-24,claude-haiku-4-5-20251001,a,Default,standard,≤ 200k,10,3,4,2,5,0,global,\n"
        "2026-11-26 13:00,claude-haiku-4-5-20251001,b,Default,standard,≤ 200k,1,0,0,0,1,0,global,\n",
    )  # fmt: skip
    cost = wrote(
        tmp_path, "cost.csv",
        "\ufeff" + COST + '2026-11-24,Claude Haiku 4.5,"De, fault",a,message,≤ 200k,output,0.25,0.25,token,global,\n'
        '2026-11-24,Claude Haiku 4.5,"De, fault",a,message,≤ 200k,input_no_cache,1.5,1.5,token,global,\n',
    )  # fmt: skip
    os.utime(cost, (1_700_000_000, 1_700_000_000))
    report = read_exports((usage, cost))
    name = "claude-haiku-4-5"
    assert report.billed[name, date(2026, 11, 24)] == Billed(
        Meters(10, 2, 3, 4, 5), 1_750_000_000_000, slack=2 * 5 * 10**9
    )
    assert report.of(name, (date(2026, 11, 25), date(2026, 11, 25))) == Billed(Meters())
    assert (report.usd, report.taken_at) == ((date(2026, 11, 24),) * 2, 1_700_000_000_000)
    ours = read_exports((usage,), api_keys=("b",))
    assert ours.of(name, (date(2026, 11, 24), date(2026, 11, 26))) == Billed(
        Meters(input=1, output=1)
    )


def test_every_problem_of_every_file_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    day = "2026-11-24,claude-haiku-4-5,a,Default,standard,≤ 200k,10,3,4,2,5,0,global,\n"
    usage = wrote(
        tmp_path, "usage.csv",
        USAGE + day + day.replace("10,3", "1.5,-3") + "24.11.2026" + day[10:] + "2026-11-24,short\n"
        + day.replace("claude-haiku-4-5", " "),
    )  # fmt: skip
    cost = wrote(tmp_path, "cost.csv", COST.replace("cost_usd", "cost_eur"))
    other = wrote(tmp_path, "other.csv", USAGE.replace("speed", "usage_audio_tokens") + day)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"usage_date_utc,mod\xe8le")
    with pytest.raises(DefinitionError) as caught:
        read_exports((usage, cost, other, latin, wrote(tmp_path, "empty.csv", USAGE)))
    said = [p.replace(f"{tmp_path}/", "") for p in caught.value.problems]
    assert said == [
        "cost.csv:1: has no column 'cost_usd'. Export it from the Console's Usage page (tokens) or Cost page (amounts).",
        "empty.csv: has no line but its header: it says of no day what was billed",
        "latin.csv: is not text in UTF-8",
        "other.csv:1: counts 'usage_audio_tokens', which we do not know",
        "usage.csv:3: tells the same use as line 2: one of them is counted twice",
        "usage.csv:3: usage_input_tokens_cache_write_5m: '-3' is not a count of tokens",
        "usage.csv:3: usage_input_tokens_no_cache: '1.5' is not a count of tokens",
        "usage.csv:4: usage_date_utc: '24.11.2026' is not a UTC day such as 2026-11-24",
        "usage.csv:5: has 2 cells, and the header names 14",
        "usage.csv:6: model_version: is empty",
    ]


def test_a_model_of_a_kind_is_told_by_both_exports_under_one_name(tmp_path: Path) -> None:
    text = (
        COST
        + "2026-11-24,Claude Sonnet 4.6,Default,a,message,≤ 200k,output,0.000001,1,token,global,\n"
    )
    report = read_exports((wrote(tmp_path, "cost.csv", text),))
    assert replace(report.billed[MODEL, DAY[0]], slack=0) == Billed(usd=10**6)
