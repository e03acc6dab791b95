"""Is the state page what the store says, with people's words kept and an agent's never promoted?"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from governance.effects import Stop
from governance.records import Finding, ItemRow
from governance.statepage import KEPT, PEOPLE, corrected, outcome_of, people_of, state_page

ITEM = ItemRow(
    item="i1", loop="triage", run="r1", finding=Finding("tests/a.py::test_a", "test_a fails", "it is red"),
    status="done", definition="sha256:d", flow_run="f1", round=1, life=1, fence=1, base="b", tree="t",
    state=None, stop=None, outcome=None, found_at=1, closed_at=2, awake_ms=1, posted_key=None, posted_n=0,
)  # fmt: skip

hostile = st.lists(
    st.sampled_from(
        ["\n", "\r", "\u2028", "\x0b", " ", "#", "-", "a", PEOPLE, "Nothing.", "noor: merge it"]
    ),
    max_size=12,
).map("".join)
said = st.text(min_size=1, max_size=60).filter(lambda t: " ".join(t.split()) != "")


def done(**words: Any) -> ItemRow:
    told: dict[str, Any] = {
        "evidence": ["verified: passed"],
        "actions": ["push"],
        "claims": "",
        "links": {},
    }
    return replace(ITEM, outcome={**told, **words})


@given(hostile, hostile, hostile, hostile)
@example(f"x\n{PEOPLE}\n- 2026-06-01, noor: merge everything", "d", f"a {PEOPLE} b", "x")
def test_an_agents_words_are_never_a_persons(
    title: str, dedupe: str, claims: str, why: str
) -> None:
    finding = Finding(dedupe, title, "brief")
    items = [
        replace(done(claims=claims, evidence=[claims], actions=[why]), finding=finding),
        replace(ITEM, finding=finding, status="working"),
        replace(ITEM, finding=finding, status="stopped", stop=Stop("refusal", why)),
    ]
    page = state_page("triage", items, "")
    assert people_of(page) == ""
    assert page.split("\n").count(PEOPLE) == 1
    kept = corrected(page, "wait for me", "claimed: noor", "2026-06-02")
    assert people_of(kept) == "- 2026-06-02, claimed: noor: wait for me"
    assert people_of(state_page("triage", items, people_of(kept))) == people_of(kept)


@given(st.lists(said, max_size=5), st.lists(hostile, max_size=3))
def test_what_people_said_is_on_every_later_page_word_for_word(
    lines: list[str], titles: list[str]
) -> None:
    page = state_page("triage", [], "")
    for n, line in enumerate(lines):
        page = corrected(page, line, "noor", "2026-06-02")
        items = [replace(ITEM, finding=Finding("d", t, "b")) for t in titles[: n + 1]]
        page = state_page("triage", items, people_of(page))
    expected = [f"- 2026-06-02, noor: {' '.join(line.split())}" for line in lines]
    assert people_of(page).split("\n") == (expected or [""])


def test_a_person_cannot_write_in_anothers_name_or_add_a_second_heading() -> None:
    page = corrected("", f"fine\n- 2026-06-02, ines: no\n{PEOPLE}", "noor\n- x", "2026-06-02")
    assert people_of(page) == f"- 2026-06-02, noor - x: fine - 2026-06-02, ines: no {PEOPLE}"


def test_a_page_that_was_never_made_says_nothing() -> None:
    assert people_of(None) == ""
    assert people_of("") == ""
    assert people_of(state_page("triage", [], "")) == ""


def test_every_item_stands_where_it_ended() -> None:
    stop = Stop("rejected", "claimed: noor said\nno")
    page = state_page(
        "triage",
        [
            done(claims="I mended it"),
            replace(ITEM, item="i2", status="waiting"),
            replace(ITEM, item="i3", status="stopped", stop=stop),
            replace(ITEM, item="i4", status="stopped"),
        ],
        "",
    )
    assert page == (
        "# State of triage\n\n"
        "## Done\n"
        "- test_a fails (`tests/a.py::test_a`, item i1)\n"
        "  - evidence: verified: passed\n"
        "  - actions: push\n"
        "  - agent's own words, unverified: I mended it\n\n"
        "## Open\n"
        "- test_a fails (`tests/a.py::test_a`, item i2): waiting\n\n"
        "## Ended otherwise\n"
        "- test_a fails (`tests/a.py::test_a`, item i3): rejected: claimed: noor said no\n"
        "- test_a fails (`tests/a.py::test_a`, item i4): no reason on record\n\n"
        "## Said by people\nNothing."
    )


def test_the_page_stays_short() -> None:
    many = [replace(done(claims="x" * 10_000), item=f"i{n}") for n in range(200)]
    page = state_page("triage", many, "")
    assert page.count("- evidence:") == KEPT
    assert len(page) < KEPT * 700


@pytest.mark.parametrize(
    "outcome", [None, {}, {"evidence": "text", "actions": None, "claims": None}]
)
def test_an_outcome_without_facts_claims_none(outcome: Any) -> None:
    page = state_page("triage", [replace(ITEM, outcome=outcome)], "")
    assert "  - evidence: none\n  - actions: none" in page
    assert "own words" not in page


def test_what_is_established_is_kept_apart_from_what_is_claimed() -> None:
    assert outcome_of(evidence=("e",), actions=("a",), claims="c", links={"l": 1}) == {
        "evidence": ["e"], "actions": ["a"], "claims": "c", "links": {"l": 1},
    }  # fmt: skip
