"""Does a failure that no try healed say what it was, and the way out?"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.edge import LONGEST_PAUSE_S
from governance.errors import DriverError, Rejected, Unavailable, Unknown
from governance.failures import ended_by

NOW = int(datetime(2026, 11, 26, 2, 0, 30, tzinfo=UTC).timestamp()) * 1000


def noted(error: DriverError, note: str) -> DriverError:
    error.add_note(note)
    return error


@pytest.mark.parametrize(
    ("error", "reason", "detail"),
    [
        (Unavailable("m", "busy"), "unavailable", "m: busy."),
        (Unavailable("m", "busy. Wait.", 5), "unavailable", "m: busy. Wait."),
        (
            Unavailable("m", "busy", 3600), "unavailable",
            "m: busy. It asks to be left alone until 2026-11-26 03:01 UTC.",
        ),
        (
            Unavailable("m", "busy", 4e9), "unavailable",
            "m: busy. It asks to be left alone for 46,296 days.",
        ),
        (Unknown("m", "lost"), "unavailable", "m: lost."),
        (Rejected("m", "401"), "refused_outside", "m: 401."),
        (
            noted(Rejected("m", "401. Renew it."), "It is block 'a/b'"), "refused_outside",
            "m: 401. Renew it. It is block 'a/b'.",
        ),
    ],
)  # fmt: skip
def test_the_sentence_has_all_that_is_known(error: DriverError, reason: str, detail: str) -> None:
    stop = ended_by(error, NOW)
    assert (stop.reason, stop.detail) == (reason, detail)


@given(st.one_of(st.none(), st.floats(min_value=0)))
def test_whatever_a_server_says_there_is_a_sentence_and_short_pauses_are_no_news(
    pause_s: float | None,
) -> None:
    stop = ended_by(Unavailable("m", "busy", pause_s), NOW)
    assert stop.reason == "unavailable"
    assert ("left alone" in stop.detail) == (pause_s is not None and pause_s > LONGEST_PAUSE_S)
