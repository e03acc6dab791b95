"""Does every error survive the way to another process, whole?"""

import copy
import pickle

import pytest

from governance import errors
from governance.errors import (
    Damaged,
    DefinitionError,
    Diverged,
    DriverError,
    LoopError,
    Rejected,
    StoreError,
    TakenOver,
    Unavailable,
    Unknown,
)

EVERY = (
    LoopError("broken"),
    DefinitionError(("loops/a.yaml:3: name: is missing", "org.yaml:1: models: is empty")),
    StoreError("store 'x' is gone"),
    Damaged("blob 'x' is missing"),
    Diverged("i1-0-lead-0-0", "a model call", "a tool call"),
    TakenOver("item 'i1' was taken over"),
    DriverError("model 'm'", "it failed"),
    Unavailable("model 'm'", "overloaded", 2.5),
    Unknown("model 'm'", "the line went dead"),
    Rejected("model 'm'", "revoked", None),
)


@pytest.mark.parametrize("error", EVERY, ids=lambda e: type(e).__name__)
def test_an_error_is_the_same_after_pickling_and_copying(error: LoopError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert (again.code, again.exit_code) == (error.code, error.exit_code)


def test_none_is_left_out() -> None:
    defined = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, LoopError)}
    assert defined == {type(e) for e in EVERY}


def test_codes_are_their_own() -> None:
    codes = [type(e).code for e in EVERY]
    assert len(set(codes)) == len(codes)


def test_the_exit_code_tells_a_wrong_file_from_a_broken_record() -> None:
    assert [type(e).exit_code for e in EVERY] == [1, 2, 3, 3, 3, 3, 1, 1, 1, 1]


def test_every_problem_of_a_definition_is_in_its_text() -> None:
    error = DefinitionError(("one", "two"))
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo"


def test_a_divergence_says_what_stands_there_and_the_way_out() -> None:
    assert str(Diverged("k", "a", "b")) == (
        "effect 'k' is on record as a, and the code now asks for b. Restart the round or abandon the item."
    )


def test_a_drivers_error_names_its_subject() -> None:
    assert str(Unavailable("forge", "503")) == "forge: 503"
    assert Unavailable("forge", "503", 4.0).retry_after_s == 4.0
