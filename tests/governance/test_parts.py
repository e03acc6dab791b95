"""Has a JSON value one spelling, and is it the one that was always written?"""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from governance.parts import canonical

values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
)  # fmt: skip


@settings(deadline=None)
@given(values)
def test_it_is_spelled_as_the_standard_library_spells_it(value: Any) -> None:
    spelled = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    assert canonical(value) == spelled
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_no_json_can_say_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": [number]})
    with pytest.raises(TypeError, match="object is no JSON value"):
        canonical({"a": object()})
