"""Only who holds the secret can fire, only with these bytes, and only now."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.signatures import TOLERANCE_S, Signed, Unsigned, check, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
NOW = 1_614_265_330


def headers(
    secret: str = SECRET, delivery: str = "msg_1", at: int = NOW, body: bytes = BODY
) -> dict[str, str]:
    return {
        "webhook-id": delivery, "webhook-timestamp": str(at),
        "webhook-signature": sign(secret, delivery, at, body),
    }  # fmt: skip


def judged(told: dict[str, str], body: bytes = BODY, *secrets: str, now: float = NOW) -> Any:
    return check("standard", told, body, secrets or (SECRET,), now)


def test_the_published_example_of_standard_webhooks_is_taken():
    """Source: Svix's documentation of its libraries, which Standard Webhooks comes from."""
    told = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }  # fmt: skip
    said = judged(told)
    assert isinstance(said, Signed)
    assert said.delivery == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_githubs_own_example_is_taken():
    """Source: GitHub's documentation of X-Hub-Signature-256."""
    told = {
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
    }
    said = check("github", told, b"Hello, World!", ("It's a Secret to Everybody",), NOW)
    assert isinstance(said, Signed)
    assert said.delivery == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert isinstance(
        check("github", told, b"Hello, World?", ("It's a Secret to Everybody",), NOW), Unsigned
    )


def test_a_signed_request_is_taken_and_a_retry_signed_anew_is_told_from_a_replay():
    first, replay = judged(headers()), judged(headers())
    retry = judged(headers(at=NOW + 30))
    assert isinstance(first, Signed)
    assert first == replay
    assert retry.delivery == first.delivery
    assert retry.signature != first.signature


def test_secrets_may_be_changed_over_on_either_side():
    old, new = "whsec_" + "b2xk" * 8, "whsec_" + "bmV3" * 8
    assert isinstance(judged(headers(old), BODY, new, old), Signed)
    two = headers(old)
    two["webhook-signature"] += " " + headers(new)["webhook-signature"]
    assert isinstance(judged(two, BODY, new), Signed)
    assert isinstance(judged(headers(old), BODY, new), Unsigned)


@pytest.mark.parametrize("off", [-TOLERANCE_S - 1, TOLERANCE_S + 1, 10**8])
def test_a_stale_timestamp_is_refused_and_only_its_signer_learns_why(off: int):
    said = judged(headers(), now=NOW + off)
    assert (said.stale, "of 300 s" in said.reason) == (True, True)
    strange = judged(headers("whsec_" + "eHh4" * 8), now=NOW + off)
    assert (strange.stale, strange.reason) == (False, "the signature does not fit")


@pytest.mark.parametrize("off", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_within_the_tolerance_it_is_taken(off: int):
    assert isinstance(judged(headers(), now=NOW + off), Signed)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
@pytest.mark.parametrize("value", ["", "0", "v1,", "v1a,AAAA", "²", "-1", "1e9", "\udcff", "v1,é"])
def test_any_other_header_is_no_signature(name: str, value: str):
    assert isinstance(judged({**headers(), name: value}), Unsigned)


def test_another_version_of_signature_does_not_count():
    told = headers()
    told["webhook-signature"] = told["webhook-signature"].replace("v1,", "v1a,")
    assert isinstance(judged(told), Unsigned)


@given(st.binary(max_size=200), st.integers(0, 199), st.integers(1, 255))
def test_one_changed_byte_is_refused(body: bytes, at: int, flip: int):
    told = headers(body=body)
    assert isinstance(judged(told, body), Signed)
    if body:
        at %= len(body)
        changed = body[:at] + bytes([body[at] ^ flip]) + body[at + 1 :]
        assert isinstance(judged(told, changed), Unsigned)


@given(
    st.text(max_size=60),
    st.text(max_size=60),
    st.text(max_size=60),
    st.sampled_from(["standard", "github"]),
)
def test_no_text_in_a_header_breaks_it(one: str, two: str, three: str, scheme: Any):
    told = {
        "webhook-id": one, "webhook-timestamp": two, "webhook-signature": three,
        "x-github-delivery": one, "x-hub-signature-256": three,
    }  # fmt: skip
    assert isinstance(check(scheme, told, BODY, (SECRET,), NOW), Unsigned)
