"""Which answers does a card take, and what is an asker told that a person vouched for?"""

import pytest

from governance.answers import (
    CHOICES,
    LATER,
    CardKind,
    answer_in_form,
    meanings,
    said_in_form,
    takes,
    vouched,
    way_to_answer,
)

KINDS: tuple[CardKind, ...] = tuple(CHOICES)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_form_says_is_the_answer_that_is_kept(kind: CardKind) -> None:
    for choice in CHOICES[kind]:
        assert answer_in_form(kind, choice.said) == choice.answer
        assert said_in_form(kind, choice.answer) == choice.said
        assert choice.said in meanings(kind)
    for said in (LATER, "", None, 3, "maybe"):
        assert answer_in_form(kind, said) is None
    assert said_in_form(kind, None) == LATER


def test_a_doubt_is_answered_in_these_words() -> None:
    assert [c.said for c in CHOICES["in_doubt"]] == ["it happened", "it did not", "abandon"]
    assert not takes("in_doubt", "approve")
    assert way_to_answer("in_doubt", "c1") == "loops resolve c1 happened|not-happened|abandon"
    assert way_to_answer("diverged", "c1") == "loops resolve c1 restart|abandon"


def told(given: str = "", **changes: object):
    plain: dict[str, object] = {"by": "noor", "reason": "", "found": (), "asked": "github.list"}
    return vouched("github.create", given=given, **{**plain, **changes})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("given", "whole", "data"),
    [
        ('{"number": 7}', {"number": 7}, {"number": 7}),
        ("7", {"result": 7}, 7),
        ("[1, 2]", {"result": [1, 2]}, [1, 2]),
        ("see the forge", {"result": "see the forge"}, "see the forge"),
        ("{not json", {"result": "{not json"}, "{not json"),
    ],
)
def test_what_a_person_pasted_is_the_calls_result(given: str, whole: object, data: object) -> None:
    result = told(given, found=({"number": 9},))
    assert (result.is_error, result.structured, result.data) == (False, whole, data)
    assert f"by their word: {given}" in result.text


def test_what_the_far_side_showed_counts_only_where_it_is_one_thing() -> None:
    assert told(found=({"number": 9},)).structured == {"number": 9}
    for found in ((), ({"number": 9}, {"number": 10})):
        result = told(found=found)
        assert result.structured is None
        assert result.text.endswith("What it gave is not known.")


def test_an_asker_is_told_that_a_person_vouches_and_why() -> None:
    assert told(reason="seen on the forge").text.startswith(
        "'github.create' was made, and its own answer is lost. 'noor' vouches that it happened: "
        "seen on the forge."
    )
