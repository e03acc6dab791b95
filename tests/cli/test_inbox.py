"""`loops inbox` says where every finding stands, and lets no finding's text pass for ours."""

import json

from cli.words import columns, margined, one_line, span
from tests.cli.filled import FOUND, NOW, Filled


def test_open_items_are_listed_with_status_cost_and_evidence(morning: Filled):
    done = morning.run("inbox")
    assert done.exit_code == 0
    head, waiting, fresh = done.output.splitlines()
    assert head.split() == [
        "ITEM",
        "LOOP",
        "TITLE",
        "STATUS",
        "ROUND",
        "AGE",
        "COST",
        "EVIDENCE",
        "STOP",
    ]
    assert waiting.startswith(morning.waiting)
    assert "waiting  -      3 h  0.3750 USD + 1 unknown  verified: passed  -" in waiting
    assert fresh.startswith(morning.fresh)
    assert "found" in fresh
    assert morning.stopped not in done.output


def test_ended_items_say_why_with_all(morning: Filled):
    lines = {line.split()[0]: line for line in morning.run("inbox", "--all").output.splitlines()}
    assert lines[morning.stopped].endswith("not_reproduced")
    assert "stopped" in lines[morning.stopped]


def test_a_title_can_neither_style_nor_reorder_nor_break_the_table(morning: Filled):
    output = morning.run("inbox").output
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "fix total\\u{1b}[2J\\u{202e}\\nAPPROVED by noor" in output
    assert len(output.splitlines()) == 3


def test_json_holds_every_fact_and_money_as_a_decimal(morning: Filled):
    items = {i["item"]: i for i in morning.json("inbox", "--all")}
    assert set(items) == {morning.waiting, morning.stopped, morning.fresh}
    waiting, stopped = items[morning.waiting], items[morning.stopped]
    assert waiting["cost_usd"] == "0.375"
    assert waiting["tries_of_unknown_cost"] == 1
    assert waiting["tokens"] == 1515
    assert waiting["evidence"][0]["verdict"] == "passed"
    assert waiting["stop"] is None
    assert 3 * 3600 <= waiting["age_s"] < 3 * 3600 + 600
    assert stopped["stop"] == {
        "reason": "not_reproduced",
        "detail": "the verifier passes on the untouched base",
    }
    # An ended item does not grow older.
    assert stopped["age_s"] == (NOW - 20_000 - FOUND) // 1000


def test_another_loops_items_are_left_out(morning: Filled):
    assert morning.json("inbox", "--loop", "other", "--all") == []
    assert morning.run("inbox", "--loop", "other").output == "Nothing is open.\n"
    assert len(morning.json("inbox", "--loop", "triage")) == 2


def test_a_real_process_answers_without_prefect(morning: Filled):
    done = morning.process("inbox", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 2


def test_a_store_that_cannot_be_opened_ends_with_code_3(morning: Filled):
    done = morning.run("inbox", LOOPRAIL_STORE_URL="mongodb://somewhere/x")
    assert done.exception is not None
    assert getattr(done.exception, "exit_code", None) == 3
    half = morning.run("inbox", LOOPRAIL_BLOBS="")
    assert "LOOPRAIL_STORE_URL is set and LOOPRAIL_BLOBS is not" in str(half.exception)


def test_words_keep_their_place():
    assert one_line("a\tb\nc") == "a\\tb\\nc"
    assert one_line("abcdef", 4) == "abc…"
    assert margined("a\nb\n") == "| a\n| b"
    assert columns([("a", "bb"), ("ccc", "")]) == "a    bb\nccc"
    assert [span(ms) for ms in (-5, 59_000, 150_000, 3 * 3_600_000, 3 * 86_400_000)] == [
        "0 s",
        "59 s",
        "2 min",
        "3 h",
        "3 d",
    ]
