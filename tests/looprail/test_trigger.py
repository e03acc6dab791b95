"""`looprail.trigger` refuses what cannot be a delivery before it asks anybody."""

from typing import Any

import pytest

import looprail
from governance.errors import Rejected


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"delivery": ""}, "delivery id '' is not 1 to 128 letters"),
        ({"delivery": "two words"}, "delivery id 'two words' is not"),
        ({"delivery": "x" * 129}, "is not 1 to 128"),
        ({"payload": {"a": object()}}, "the payload is no JSON value"),
        ({"payload": float("nan")}, "the payload is no JSON value"),
        ({"payload": "x" * 65_535}, "the payload has 65,537 of 65,536 bytes"),
        ({"payload": "é" * 40_000}, "the payload has 80,002 of 65,536 bytes"),
    ],
)
def test_what_cannot_be_a_delivery_is_refused_with_the_reason(asked: dict[str, Any], words: str):
    with pytest.raises(Rejected, match="trigger of 'night-fix'") as told:
        looprail.trigger("night-fix", **asked)
    assert words in str(told.value)
