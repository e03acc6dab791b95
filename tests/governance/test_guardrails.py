"""Is every secret found, wherever it stands and however it travels?"""

import base64
import string
from typing import Any
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st

from governance.guardrails import MIN_SECRET, Screen

secrets = st.text(
    st.characters(
        min_codepoint=33,
        max_codepoint=0x2FF,
        exclude_categories=("Cs", "Cc"),
        exclude_characters="[]",
    ),
    min_size=8,
    max_size=60,
)
around = st.binary(max_size=9)
plain = st.text(string.ascii_letters + " \n", max_size=20)


@given(secrets, plain, plain)
@example("a+b/c&d=e?f", "x", "y")
def test_a_secret_is_found_in_any_text(secret: str, before: str, after: str) -> None:
    screen = Screen().with_secret(secret)
    for form in (
        secret, quote(secret, safe=""), secret.encode().hex(), secret.encode().hex().upper(),
    ):  # fmt: skip
        clean = screen.text(before + form + after)
        assert form not in clean
        assert "[secret]" in clean


@given(secrets, around, around)
def test_a_secret_is_found_in_base64_at_every_offset(
    secret: str, before: bytes, after: bytes
) -> None:
    screen = Screen().with_secret(secret)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(before + secret.encode() + after).decode()
        clean = screen.text(text)
        assert clean != text
        # What is left of it are at most the two characters it shares with its neighbours, at each end.
        left = sum(len(part) for part in clean.split("[secret]"))
        assert left <= len(encode(before)) + len(encode(after)) + 4


@given(secrets, plain)
@example("secret", " a ")
def test_redacting_twice_is_redacting_once(secret: str, text: str) -> None:
    screen = Screen().with_secret(secret)
    once = screen.text(text + secret + text)
    assert screen.text(once) == once
    assert screen.clean(once)


@given(st.lists(secrets, min_size=1, max_size=4), plain)
def test_every_secret_is_found_also_where_one_holds_another(found: list[str], text: str) -> None:
    screen = Screen()
    for secret in (*found, found[0] + "more", found[0][:-1]):
        screen = screen.with_secret(secret)
    clean = screen.text(text.join(("", *found, found[0] + "more")))
    assert not any(secret in clean for secret in found)


@given(secrets)
def test_json_is_searched_in_keys_and_values_at_any_depth(secret: str) -> None:
    screen = Screen().with_secret(secret)
    value: dict[str, Any] = {
        "a": [1, None, True, {"b": [f"x {secret}"]}],
        f"key {secret}": (secret,),
    }
    clean = screen.json(value)
    assert secret not in str(clean)
    assert clean["a"][:3] == [1, None, True]
    assert not screen.clean(value)
    assert screen.json(clean) == clean
    assert secret in value["a"][3]["b"][0], "what was given is left as it was"


def test_what_holds_no_secret_is_left_alone() -> None:
    screen = Screen().with_secret("sk-live-1234567890")
    for text in ("", "sk-live-123456789", "[secret]", "a" * 1000):
        assert screen.text(text) == text
        assert screen.clean(text)


def test_a_word_is_no_secret() -> None:
    assert Screen().with_secret("a" * (MIN_SECRET - 1)).text("aaaaaaaa") == "aaaaaaaa"
    assert Screen().with_secret("").text("text") == "text"
    assert not Screen().with_secret("a" * MIN_SECRET).clean("a" * MIN_SECRET)


def test_a_screen_does_not_grow_by_what_it_knows() -> None:
    screen = Screen().with_secret("sk-live-1234567890")
    assert screen.with_secret("sk-live-1234567890") is screen


def test_no_secret_in_means_nothing_out() -> None:
    assert Screen().text("sk-live-1234567890") == "sk-live-1234567890"
