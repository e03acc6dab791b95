"""Does the scripted provider behave, charge and fail as a real one does?"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from demo.model.bill import PRICE_LIST
from demo.model.prefix_cache import counted
from demo.model.process import running
from demo.model.view import Json
from governance.prices import price_of
from tests.demo.engineering import VERIFY, ask, house

KEY = "sk-demo-1"
MARK: Json = {"cache_control": {"type": "ephemeral"}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--key", KEY) as base:
        yield base


def call(
    url: str, path: str, body: object = None, *, key: str | None = KEY, header: str = "x-api-key"
) -> tuple[int, Any, dict[str, str]]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **({header: key} if key else {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, data, headers)) as answer:
            return answer.status, json.loads(answer.read()), dict(answer.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), dict(error.headers)


def request(*texts: str, **more: Any) -> Json:
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]} for text in texts]
    return {"model": "claude-sonnet-4-6", "max_tokens": 100, "messages": messages, **more}


# the bill ---------------------------------------------------------------------


def test_the_bill_is_the_sum_of_the_usages_at_the_list_price(url: str):
    before = call(url, "/_bill")[1]["models"].get("claude-opus-4-8", {})
    system = [{"type": "text", "text": "Role: lead\n" + "x" * 8000, **MARK}]
    body = {**request("hello"), "model": "claude-opus-4-8", "system": system}
    usages = [call(url, "/v1/messages", body)[1]["usage"] for _ in range(2)]
    assert usages[0]["cache_creation_input_tokens"] == usages[1]["cache_read_input_tokens"] > 2000
    after = call(url, "/_bill")[1]["models"]["claude-opus-4-8"]
    expected = sum(
        u["input_tokens"] * 5_000_000 + u["output_tokens"] * 25_000_000
        + u["cache_creation_input_tokens"] * 6_250_000 + u["cache_read_input_tokens"] * 500_000
        for u in usages
    )  # fmt: skip
    assert after["cost_pico_usd"] - before.get("cost_pico_usd", 0) == expected
    assert after["answered"] - before.get("answered", 0) == 2


@pytest.mark.parametrize("model", PRICE_LIST)
def test_its_price_list_is_the_published_one(model: str):
    price = price_of(model, int(time.time() * 1000))
    assert price is not None
    units = (
        price.input,
        price.output,
        price.cache_read,
        price.cache_write_5m,
        price.cache_write_1h,
    )
    assert tuple(unit * 10**6 for unit in units) == PRICE_LIST[model]


def test_the_count_is_what_a_call_is_charged_for(url: str):
    body = request("count me", system="sys", tools=house(works=True))
    count = call(
        url, "/v1/messages/count_tokens", {k: v for k, v in body.items() if k != "max_tokens"}
    )
    assert count[1] == {"input_tokens": counted(body)}
    assert call(url, "/v1/messages", body)[1]["usage"]["input_tokens"] == counted(body)


# the API ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models"])
def test_no_key_and_a_wrong_key_are_turned_away(url: str, path: str):
    body = None if path.endswith("models") else request("x")
    assert call(url, path, body, key=None)[0] == 401
    assert call(url, path, body, key="sk-other")[0] == 401
    assert call(url, path, body)[0] == 200
    assert call(url, path, body, key=f"Bearer {KEY}", header="authorization")[0] == 200


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ([1], 400, "invalid_request_error"),
        ({"model": "claude-sonnet-4-6", "messages": []}, 400, "invalid_request_error"),
        (request("x", model="gpt-5"), 404, "not_found_error"),
        (
            request("x", system=[{"type": "text", "text": "s", **MARK}] * 5),
            400,
            "invalid_request_error",
        ),
    ],
)
def test_a_request_that_is_wrong_is_named_as_the_api_names_it(
    url: str, body: object, status: int, kind: str
):
    before = call(url, "/_bill")[1]["calls"]
    code, answer, headers = call(url, "/v1/messages", body)
    assert (code, answer["type"], answer["error"]["type"]) == (status, "error", kind)
    assert headers["request-id"]
    assert call(url, "/_bill")[1]["calls"] == before


def test_the_models_are_those_with_a_price(url: str):
    assert [m["id"] for m in call(url, "/v1/models")[1]["data"]] == list(PRICE_LIST)


def test_every_event_is_named_and_begins_and_ends_as_it_must(url: str):
    body = json.dumps(request("x", stream=True)).encode()
    headers = {"x-api-key": KEY, "content-type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(url + "/v1/messages", body, headers)
    ) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [part.split("\n") for part in answer.read().decode().strip().split("\n\n")]
    names = [event[0].removeprefix("event: ") for event in events]
    assert names == [json.loads(event[1].removeprefix("data: "))["type"] for event in events]
    assert (names[0], names[-2], names[-1]) == ("message_start", "message_delta", "message_stop")


def test_a_fault_is_checked_shown_used_up_and_meant_for_whom_it_names(url: str):
    assert call(url, "/_faults", {"kind": "earthquake"})[0] == 422
    assert call(url, "/_faults", {"kind": "status", "surprise": 1})[0] == 422
    call(url, "/_faults", [{"kind": "status", "status": 529, "times": 2, "role": "checker"}])
    body = ask("maker", "x")
    assert call(url, "/v1/messages", body)[0] == 200
    checked = [call(url, "/v1/messages", ask("checker", "x"))[0] for _ in range(3)]
    assert checked == [529, 529, 200]
    assert call(url, "/_faults")[1] == []


def test_an_answer_that_is_held_comes_once_the_faults_are_taken_back(url: str):
    before = call(url, "/_bill")[1]["calls"]
    call(url, "/_faults", {"kind": "held"})
    with ThreadPoolExecutor(1) as beside:
        held = beside.submit(call, url, "/v1/messages", request("wait"))
        while call(url, "/_bill")[1]["calls"] == before:
            time.sleep(0.01)
        assert call(url, "/v1/messages", request("others do not"))[0] == 200
        assert not held.done()
        taken_back = urllib.request.Request(
            f"{url}/_faults", method="DELETE", headers={"x-api-key": KEY}
        )
        urllib.request.urlopen(taken_back).close()
        assert held.result(timeout=10)[0] == 200


def test_requests_are_kept_without_the_key(url: str):
    call(url, "/v1/messages", request("remember me"))
    assert KEY not in json.dumps(call(url, "/_requests")[1])
    assert (
        call(url, "/_requests")[1][-1]["body"]["messages"][0]["content"][0]["text"] == "remember me"
    )


# the process ------------------------------------------------------------------


def test_it_starts_with_what_it_learned_whom_it_plays_and_what_goes_wrong(tmp_path: Path):
    lesson = tmp_path / "lesson.json"
    lesson.write_text('[{"find": "teh", "replace": "the"}]')
    faults = tmp_path / "faults.json"
    faults.write_text('{"kind": "status", "status": 503, "model": "claude-opus-4-8"}')
    options = (
        "--knowledge", str(lesson), "--faults", str(faults), "--persona", "checker=accept-all",
        "--latency-ms", "120", "--cache-minimum", "1",
    )  # fmt: skip
    with running(*options) as base:
        assert call(base, "/v1/messages", request("x", model="claude-opus-4-8"))[0] == 503
        started = time.monotonic()
        told = ask("delegate:fix-drafter", "The README says teh price.")
        said = call(base, "/v1/messages", told, key="any")[1]["content"][0]["text"]
        assert time.monotonic() - started >= 0.12
        assert "replace `teh` by `the`" in said
        verdict = call(base, "/v1/messages", ask("checker", "nothing"))[1]["content"][0]["text"]
        assert "accept" in verdict


def test_another_brain_can_be_plugged_in():
    with running("--brain", "tests.demo.parrot:parrot") as base:
        answer = call(base, "/v1/messages", request("polly"))[1]
    assert answer["content"] == [{"type": "text", "text": "polly"}]


def test_a_process_that_cannot_start_says_so():
    with (
        pytest.raises(RuntimeError, match="ended before it listened"),
        running("--persona", "nobody"),
    ):
        pass


def test_the_maker_over_http_asks_for_the_command_of_its_brief(url: str):
    brief = f"The change is verified with this command, from the root:\n{VERIFY}"
    answer = call(url, "/v1/messages", ask("maker", brief, tools=house(works=True)))[1]
    uses = [block for block in answer["content"] if block["type"] == "tool_use"]
    assert [(use["name"], use["input"]) for use in uses] == [
        ("workspace__run", {"command": VERIFY})
    ]
    assert answer["stop_reason"] == "tool_use"


def test_a_bill_in_a_file_goes_on_after_a_restart(tmp_path: Path):
    """Killed in mid-answer it has charged what was not answered, and every answer stands on it by its id."""
    bill = ("--bill", str(tmp_path / "bill.jsonl"))
    with running(*bill) as base:
        first = call(base, "/v1/messages", request("hello"))[1]["id"]
        call(base, "/_faults", [{"kind": "html"}])
        with pytest.raises(json.JSONDecodeError):
            call(base, "/v1/messages", request("hello"))
        told = call(base, "/_bill")[1]
        assert (told["calls"], told["answered"]) == (2, 1)
    with running(*bill) as base:
        assert call(base, "/_bill")[1] == told
        again = call(base, "/v1/messages", request("hello"))[1]["id"]
        charged = call(base, "/_messages")[1]
        assert len(charged) == 3
        assert [charged[i]["answered"] for i in (first, again)] == [True, True]
        assert (
            sum(c["cost_pico_usd"] for c in charged.values())
            == (call(base, "/_bill")[1]["cost_pico_usd"])
        )
