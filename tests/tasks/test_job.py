"""What of the journal counts in this life, and what was given up?"""

from dataclasses import replace
from typing import Any, cast

from governance.definition import Loop
from governance.effects import Place
from governance.parts import Json
from governance.pinned import Pinned
from governance.records import Claimed, Entry, Finding, ItemRow
from governance.rounds import begun_anew
from tasks.job import MADE_BEFORE, PROBES, Job

PINNED = Pinned(
    loop=Loop(name="triage", model="m", instructions="a@v1"),
    instructions={"a@v1": "Look."}, skills={}, models={}, image=None,
)  # fmt: skip
ITEM = ItemRow(
    item="i1", loop="triage", run="r1", finding=Finding("d", "t", "b"), status="working",
    definition="sha256:d", flow_run="f", round=0, life=1, fence=1, base=None, tree=None, state=None,
    stop=None, outcome=None, found_at=1, closed_at=None, awake_ms=0, posted_key=None, posted_n=0,
)  # fmt: skip


def entry(round: int, lane: str, name: str = "github.comment", **changes: Any) -> Entry:
    place = Place("r1", "i1", round, lane, 0, 0)
    plain = Entry(
        key=place.key, place=place, kind="tool", name=name, status="done", head_before="h",
        head_after="h", args={"n": 1}, result={"text": lane, "is_error": False}, labels=(), tree=None,
        state=None, attempts=1,
    )  # fmt: skip
    return replace(plain, **changes)


def job(*entries: Entry, restarted: int | None = None) -> Job:
    restarts = begun_anew(restarted, (), 2) if restarted is not None else ()
    item = replace(ITEM, restarts=restarts)
    made = Job(cast(Any, None), PINNED, run="r1", owner="i1", fence=1, item=item)
    made.go_on_as(Claimed(item, entries))
    return made


def text(made: Any) -> Json | None:
    return made and made.result["text"]


def test_what_stands_in_a_round_that_was_given_up_is_no_result_and_not_ahead() -> None:
    told = job(entry(1, "a"), entry(2, "b"), restarted=2)
    assert list(told.results) == [entry(1, "a").key]
    assert told.ahead == {entry(1, "a").key}
    assert told.place(2, "b", 0, 0).key == "i1-3-b-0-0"
    assert told.place(1, "a", 0, 0).key == "i1-1-a-0-0"
    assert told.ahead == set(), "it has come to all that counts"


def test_a_call_of_a_round_that_was_given_up_counts_once_for_the_same_call() -> None:
    told = job(entry(2, "b"), restarted=2)
    assert told.made_before("github.comment", {"n": 2}) is None
    assert told.made_before("github.other", {"n": 1}) is None
    assert text(told.made_before("github.comment", {"n": 1})) == "b"
    assert told.made_before("github.comment", {"n": 1}) is None


def test_what_was_taken_over_in_an_earlier_life_is_not_taken_over_twice() -> None:
    again = entry(3, "b", labels=(MADE_BEFORE,))
    told = job(entry(2, "a"), entry(2, "b"), again, restarted=2)
    assert text(told.made_before("github.comment", {"n": 1})) == "b"
    assert told.made_before("github.comment", {"n": 1}) is None


def test_refusals_errors_and_what_was_never_done_are_not_taken_over() -> None:
    told = job(
        entry(2, "a", status="doubt", result=None),
        entry(2, "b", result={"text": "no", "is_error": True}, labels=("refused",)),
        entry(2, "c", kind="model"),
        restarted=2,
    )
    assert told.made_before("github.comment", {"n": 1}) is None


def test_without_a_restart_nothing_was_given_up() -> None:
    told = job(entry(1, "a"), entry(2, "b"))
    assert len(told.results) == 2
    assert told.made_before("github.comment", {"n": 1}) is None


def test_markers_notes_and_probes_are_no_part_of_the_sequence() -> None:
    told = job(
        entry(0, "changed-x", kind="marker"), entry(0, "waited", kind="note"), entry(0, f"{PROBES}c1")
    )  # fmt: skip
    assert told.ahead == set()
    assert len(told.results) == 3
