"""Does a person see all of what they say yes to, as it is?

Rendered with a real CommonMark parser: what counts is what stands on the screen.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from governance.approvals import (
    COLUMNS,
    MORE,
    SHOWN,
    card_id,
    card_markdown,
    fenced,
    form_markdown,
    inline,
    plain,
    spelled,
    wrapped,
)
from governance.effects import Evidence, Principal
from governance.records import Card

CARD = Card(
    card="c1", item="i1", run="r1", loop="night-fix", kind="approval", key="i1-1-deliver-1-0",
    tool="github.merge_pull_request", arguments={"number": 7}, tool_digest="sha256:t",
    policy_digest="sha256:p", tree="f" * 40, by=Principal("night-fix", "noor", "platform", "loop", "loop"),
    why="a merge reaches everybody", evidence=(Evidence("verified", "f" * 40, "passed", "verifier", "ok"),),
    cost=123_456_789_012, diff="--- a/x\n+++ b/x\n", reach="github (destructive)", asked_at=0, deadline=None,
    on_deadline=None,
)  # fmt: skip

nasty = st.lists(
    st.sampled_from(
        ["`", "``", "```", "~~~", "|", "\\", "\\|", "\n", "\r", "\t", "<!--", "-->", "<script>", "![x](http://e)",
         "\x1b[2J", "\u202e", "\u200b", "\u2066", "\u3164", "\ufe0f", "\U000e0041", "\u2028", "a", " ", "#", "---"]
    ),
    max_size=20,
).map("".join)  # fmt: skip
anything = st.one_of(nasty, st.text(max_size=80))
INVISIBLE = "\x00\x1b\x7f\x9b\u00ad\u034f\u061c\u115f\u200b\u200e\u202a\u202e\u2060\u2066\u2800\u3164\ufe0f\ufeff\U000e0041\U000e0101\ue000\u2028\u2029\ud800\u0378"


def parsed(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)


def joined(shown: str) -> str:
    """What was shown, with its long lines whole again."""
    return shown.replace("\n" + MORE, "")


def codes(tokens: list[Token]) -> list[str]:
    return [c.content for t in tokens for c in t.children or () if c.type == "code_inline"]


@pytest.mark.parametrize("char", INVISIBLE, ids=lambda c: f"U+{ord(c):04X}")
def test_what_cannot_be_seen_is_spelled_out(char: str) -> None:
    assert plain(f"a{char}b") == f"a\\u{{{ord(char):x}}}b"


@given(anything)
def test_what_is_plain_stays_plain(text: str) -> None:
    assert plain(plain(text)) == plain(text)


def test_words_of_every_language_stay_as_they_are() -> None:
    for words in ("Grüße, naïve café", "見積もり", "שלום", "مرحبا", "a\tb\nc", "π ≠ 3 🙂"):
        assert plain(words) == words


@given(anything)
def test_a_fence_is_closed_by_nothing_in_it(text: str) -> None:
    tokens = parsed("before\n\n" + fenced(text, "json") + "\n\nafter")
    assert [t.type for t in tokens if t.type == "fence"] == ["fence"]
    (fence,) = [t for t in tokens if t.type == "fence"]
    assert fence.content.rstrip("\n") == plain(text).rstrip("\n")
    assert tokens[-2].content == "after"


@given(anything.filter(lambda t: t.strip() != ""))
@example("a\\|hidden")
@example("a\\\\|hidden")
@example("`|`")
def test_text_in_a_table_stays_in_its_cell_and_whole(text: str) -> None:
    tokens = parsed(f"| | |\n|---|---|\n| why | {inline(text)} |\n| last | `x` |")
    assert sum(t.type == "td_open" for t in tokens) == 4
    assert not any(t.type.startswith("html") for t in tokens)
    shown, last = codes(tokens)
    assert last == "x"
    spelled = plain(text).replace("\n", "\\n").replace("|", "\\u{7c}")
    assert shown.strip() == spelled.strip()
    assert "|" not in inline(text)


@given(anything, anything, anything, anything)
def test_nothing_on_a_card_can_style_or_hide_anything(
    tool: str, why: str, argument: str, diff: str
) -> None:
    card = replace(CARD, tool=tool, why=why, arguments={"text": argument}, diff=diff, reach=why)
    tokens = parsed(card_markdown(card, "2026-06-02 06:00 UTC", None))
    assert not any(t.type.startswith("html") for t in tokens)
    inside = [c for t in tokens for c in t.children or ()]
    assert {c.type for c in inside} <= {"text", "code_inline", "softbreak"}
    fences = [t.content for t in tokens if t.type == "fence"]
    assert joined(fences[0]) == spelled({"text": argument}) + "\n"
    assert len(fences) == (2 if diff else 1)
    assert sum(t.type == "tr_open" for t in tokens) == 10


seen = st.text(max_size=10).map(plain)


@given(st.dictionaries(seen, st.integers() | seen | st.lists(seen, max_size=3), max_size=4))
def test_the_arguments_shown_are_the_values_that_will_be_sent(arguments: Any) -> None:
    shown = card_markdown(replace(CARD, arguments=arguments), "now", None)
    (sent, _) = [t.content for t in parsed(shown) if t.type == "fence"]
    assert json.loads(joined(sent)) == arguments


def test_arguments_are_shown_whole_however_long_they_are() -> None:
    long = "x" * 1_000_000 + "THE END"
    assert long in joined(card_markdown(replace(CARD, arguments={"body": long}), "now", None))


@given(anything)
@example("x = 1" + " " * 500 + "; steal()")
@example("\t" * 99 + "steal()")
@example("見" * 99)
def test_no_line_is_wider_than_the_form_and_none_loses_anything(text: str) -> None:
    lines = wrapped(text).split("\n")
    assert max(sum(_wide(c) for c in line) for line in lines) <= COLUMNS
    assert wrapped(text).replace("\n" + MORE, "") == plain(text)


def _wide(char: str) -> int:
    return {"\t": 8, "見": 2}.get(char, 1)


def test_a_diff_that_is_too_long_says_so_and_where_the_rest_is() -> None:
    card = replace(CARD, diff="+" * (SHOWN + 1))
    told = card_markdown(card, "now", None)
    assert (
        "The first 20,000 of 20,001 characters of the diff; `loops approvals c1` shows all" in told
    )
    assert "characters of the diff" not in card_markdown(
        replace(CARD, diff="+" * SHOWN), "now", None
    )


def test_a_card_says_who_asks_what_it_is_about_and_what_silence_means() -> None:
    told = card_markdown(CARD, "2026-06-02 06:00 UTC", None)
    for words in (
        "`github.merge_pull_request`", "`loop night-fix, owner noor`", "`verified: passed by verifier about ffffffffffff` `ok`",
        "`a merge reaches everybody`", f"`{'f' * 40}`", "0.123457 USD", "`github (destructive)`", "`it waits`",
    ):  # fmt: skip
        assert words in told
    dated = card_markdown(replace(CARD, on_deadline="reject"), "now", "2026-06-05 06:00 UTC")
    assert "`reject at 2026-06-05 06:00 UTC`" in dated


def test_a_form_shows_every_card_and_that_names_are_claimed() -> None:
    told = form_markdown([(CARD, "now", None), (replace(CARD, tool="github.other"), "now", None)])
    assert told.count("Exactly these arguments will be sent:") == 2
    assert "claimed, not proven" in told


def test_a_cards_name_is_that_of_its_action() -> None:
    names = [
        card_id("i1", "github.merge", {"a": 1, "b": 2}, "sha256:t", "tree"),
        card_id("i2", "github.merge", {"a": 1, "b": 2}, "sha256:t", "tree"),
        card_id("i1", "github.close", {"a": 1, "b": 2}, "sha256:t", "tree"),
        card_id("i1", "github.merge", {"a": 1, "b": 3}, "sha256:t", "tree"),
        card_id("i1", "github.merge", {"a": 1, "b": 2}, "sha256:u", "tree"),
        card_id("i1", "github.merge", {"a": 1, "b": 2}, "sha256:t", None),
    ]
    assert len(set(names)) == len(names)
    again = card_id("i1", "github.merge", json.loads('{"b":2,"a":1}'), "sha256:t", "tree")
    assert again == names[0]


def test_a_doubt_shows_what_is_known_and_from_when_an_answer_counts() -> None:
    probe = {
        "tool": "github.list", "arguments": {"head": "x"}, "at": "then", "found": [], "text": "`[]`|\u202e",
    }  # fmt: skip
    facts = {
        "process": {"fate": "dead", "why": "proven dead: there is no process 7"},
        "probe": probe,
    }
    told = card_markdown(
        replace(CARD, kind="in_doubt", facts=facts, not_before=1_780_639_260_000), "now", None
    )
    assert "This may have happened already" in told
    assert "| its process | `proven dead: there is no process 7` |" in told
    assert '| the far side | `github.list was asked at then with {"head":"x"}; look at its answer` |' in told  # fmt: skip
    assert "| answers count from | `2026-06-05 06:01 UTC` |" in told
    assert "\u202e" not in told
    failed = {**probe, "failed": "no such thing"}
    told = card_markdown(replace(CARD, kind="in_doubt", facts={"probe": failed}), "now", None)
    assert "and could not say: no such thing" in told


def test_a_round_that_diverged_says_what_is_paid_again_and_a_form_what_changed() -> None:
    again = {"model_calls": 1200, "commands": 3, "cost_usd": "0.5", "writes": ["a.b"]}
    card = replace(CARD, kind="diverged", facts={"again": again})
    told = form_markdown([(card, "now", None)], ("rule added: |x", "credential y is gone"))
    assert "1,200 model calls and 3 commands of 0.5 USD; written outside: a.b;" in told
    assert "This is on record, and this the code asks for now:" in told
    assert "- `rule added: \\u{7c}x`\n- `credential y is gone`" in told
