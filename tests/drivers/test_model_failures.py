"""Does every failure of a provider reach us as what it means, once, and without the key?

Against the scripted model, a real server in another process.
"""

import asyncio
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import replace

import pytest

from demo.model.process import running
from drivers.model import AnthropicModel
from governance.conversation import ModelRequest, user
from governance.errors import DriverError, Rejected, Unavailable, Unknown
from tests.drivers.provider import BOTH, KEY, SMALL, failure, streamed, talk


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running("--key", KEY) as base:
        yield base


@pytest.fixture
def model(url: str) -> Iterator[AnthropicModel]:
    yield AnthropicModel(url, KEY)
    talk(url, "/_faults", method="DELETE")


@BOTH
@pytest.mark.parametrize("kind", ["truncated", "html", "no_usage", "malformed", "stream_error"])
async def test_an_answer_that_cannot_be_trusted_is_unknown(
    model: AnthropicModel, url: str, request_: ModelRequest, kind: str
):
    before = talk(url, "/_bill")
    talk(url, "/_faults", {"kind": kind, "error": "overloaded_error"})
    error = await failure(model, request_)
    after = talk(url, "/_bill")
    assert type(error) is Unknown
    assert "may be billed" in error.detail
    assert after["calls"] == before["calls"] + 1, "asked once and not again"
    assert after["answered"] == before["answered"]


@BOTH
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_a_provider_that_turns_us_away_for_now_is_unavailable(
    model: AnthropicModel, url: str, request_: ModelRequest, status: int
):
    before = talk(url, "/_bill")["calls"]
    headers = {"retry-after": "7", "x-should-retry": "true"}
    talk(url, "/_faults", {"kind": "status", "status": status, "headers": headers})
    error = await failure(model, request_)
    assert type(error) is Unavailable
    assert error.retry_after_s == 7
    assert str(status) in error.detail
    assert talk(url, "/_bill")["calls"] == before, "no retry of the SDK's went through"


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
async def test_what_will_be_refused_again_is_rejected(model: AnthropicModel, url: str, status: int):
    talk(url, "/_faults", {"kind": "status", "status": status, "headers": {"retry-after": "7"}})
    error = await failure(model, SMALL)
    assert type(error) is Rejected
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("enforced_spend_limit_reached", Rejected),
        ("contract_spend_limit_reached", Rejected),
        ("ramp_limit_exceeded", Unavailable),
        (None, Unavailable),
    ],
)
async def test_a_spend_limit_is_no_rate_limit(
    model: AnthropicModel, url: str, code: str | None, kind: type[DriverError]
):
    fault = {"kind": "status", "status": 429, "error": "rate_limit_error", "error_code": code}
    talk(url, "/_faults", fault)
    error = await failure(model, SMALL)
    assert type(error) is kind
    assert (code or "rate_limit_error") in error.detail


async def test_a_gateways_timeout_may_be_billed(model: AnthropicModel, url: str):
    talk(url, "/_faults", {"kind": "status", "status": 504})
    assert type(await failure(model, SMALL)) is Unknown


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "4000000000"}, 4e9),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({}, None),
    ],
)
async def test_what_a_provider_asks_to_wait_is_told_and_never_slept(
    model: AnthropicModel, url: str, headers: dict[str, str], expected: float | None
):
    talk(url, "/_faults", {"kind": "status", "status": 429, "headers": headers})
    async with asyncio.timeout(5):
        error = await failure(model, SMALL)
    assert error.retry_after_s == expected


@BOTH
@pytest.mark.parametrize("kind", ["hang", "slow"])
async def test_an_answer_that_comes_too_late_is_unknown(
    model: AnthropicModel, url: str, request_: ModelRequest, kind: str
):
    talk(url, "/_faults", {"kind": kind, "seconds": 2})
    started = asyncio.get_running_loop().time()
    error = await failure(model, request_, timeout_s=0.3)
    assert type(error) is Unknown
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_the_connection_is_usable_after_an_answer_was_given_up(
    model: AnthropicModel, url: str
):
    talk(url, "/_faults", {"kind": "hang", "times": 3})
    for _ in range(3):
        await failure(model, streamed(SMALL), timeout_s=0.1)
    assert (await model.reply(SMALL, timeout_s=10)).stop == "end_turn"


async def test_counting_fails_the_same_way(model: AnthropicModel, url: str):
    path = "/v1/messages/count_tokens"
    talk(url, "/_faults", {"kind": "status", "status": 529, "path": path})
    with pytest.raises(Unavailable):
        await model.count(SMALL)
    talk(url, "/_faults", {"kind": "html", "path": path})
    with pytest.raises(Unknown):
        await model.count(SMALL)


async def test_a_request_that_is_not_unicode_is_rejected_unsent(model: AnthropicModel, url: str):
    before = len(talk(url, "/_requests"))
    error = await failure(model, replace(SMALL, messages=(user("half a pair: \ud800"),)))
    assert type(error) is Rejected
    assert len(talk(url, "/_requests")) == before


async def test_the_key_is_in_no_error_even_when_it_is_echoed(model: AnthropicModel, url: str):
    for at in (0, 440, 470):
        message = "x" * at + "You sent {authorization} and Bearer\u202e {authorization}\x1b[31m"
        for status in (401, 429, 500):
            talk(url, "/_faults", {"kind": "status", "status": status, "message": message})
            error = await failure(model, SMALL)
            told = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
            assert KEY[:12] not in told
            assert "[secret]" in told or at == 470
            assert "\x1b" not in str(error)
            assert "\u202e" not in str(error)
            assert error.__cause__ is None
            assert error.__context__ is None
            assert type(pickle.loads(pickle.dumps(error))) is type(error)


async def test_a_wrong_key_is_rejected_and_not_shown(url: str):
    error = await failure(AnthropicModel(url, "sk-other-9981"), SMALL)
    assert type(error) is Rejected
    assert "sk-other-9981" not in str(error)


def test_a_driver_shows_no_key_and_cannot_be_pickled():
    model = AnthropicModel("https://user:pass@models.example/", KEY)
    assert repr(model) == "AnthropicModel('models.example')"
    with pytest.raises(TypeError, match="holds a key"):
        pickle.dumps(model)


@pytest.mark.parametrize("key", ["", "two words", "line\nfeed", "schlüssel"])
def test_a_key_no_header_can_carry_is_refused_at_once(key: str):
    with pytest.raises(Rejected) as caught:
        AnthropicModel("https://models.example", key)
    assert not key or key not in str(caught.value)
