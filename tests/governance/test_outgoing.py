"""Is what goes out still all of what was said, screened, although only what is new is gone over?"""

import pytest

from governance.conversation import ModelRequest, user
from governance.guardrails import Screen
from governance.outgoing import LANES, Outgoing, Spoken
from governance.parts import Json
from governance.prices import frame_bound, input_bound

SECRET = Screen().with_secret("hunter2-hunter2")
TALK = tuple(user(f"{n}: hunter2-hunter2") for n in range(5))


def whole(messages: tuple[Json, ...]) -> tuple[tuple[Json, ...], int]:
    screened = tuple(SECRET.json(m) for m in messages)
    request = ModelRequest("m", "s", screened)
    return screened, input_bound(request) - frame_bound(request)


def test_a_conversation_that_grew_goes_out_as_if_it_were_gone_over_as_a_whole() -> None:
    spoken = Spoken()
    for length in range(1, len(TALK) + 1):
        going = spoken.then("lane", SECRET, TALK[:length])
        assert (going.messages, going.bound) == whole(TALK[:length])


def test_what_was_said_before_is_not_gone_over_again() -> None:
    before = Outgoing().then(SECRET, TALK[:3])
    after = before.then(SECRET, TALK)
    assert all(one is other for one, other in zip(before.messages, after.messages, strict=False))


def test_a_secret_learned_later_is_taken_out_of_what_was_said_before() -> None:
    innocent = Outgoing().then(Screen(), TALK[:3])
    assert "hunter2" in str(innocent.messages)
    assert "hunter2" not in str(innocent.then(SECRET, TALK).messages)


@pytest.mark.parametrize("other", [TALK[:2], TALK[1:], (user("0: hunter2-hunter2"), *TALK[1:])])
def test_another_conversation_is_gone_over_from_its_beginning(other: tuple[Json, ...]) -> None:
    going = Outgoing().then(SECRET, TALK).then(SECRET, other)
    assert (going.messages, going.bound) == whole(other)


def test_what_was_changed_behind_our_back_does_not_go_out() -> None:
    talk = (user("first"),)
    before = Outgoing().then(SECRET, talk)
    talk[0]["content"][0]["text"] = "hunter2-hunter2"
    assert "hunter2" not in str(before.then(SECRET, (*talk, user("next"))).messages)


def test_what_has_no_bound_is_refused_however_late_it_is_said() -> None:
    picture: Json = {"role": "user", "content": [{"type": "image", "source": {}}]}
    with pytest.raises(ValueError, match="'image'"):
        Outgoing().then(SECRET, TALK).then(SECRET, (*TALK, picture))


def test_conversations_that_nobody_continues_are_forgotten() -> None:
    spoken = Spoken()
    for n in range(2 * LANES):
        spoken.then(f"lane-{n}", SECRET, TALK[:1])
    assert len(spoken._lanes) == LANES
