"""`loops state` shows what a loop knows, and keeps what a person says of it in their name."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.filled import ROOT, Filled

REGISTRY = str(ROOT / "registry")


def test_the_newest_page_is_shown_with_who_wrote_it(morning: Filled):
    output = morning.run("state", "triage").output
    assert output.startswith("triage, version 2, ")
    assert f"by item {morning.stopped}" in output.splitlines()[0]
    assert "## Ended otherwise\n- fix test_tax" in output


def test_an_older_version_is_still_there(morning: Filled):
    assert "fix test_tax" not in morning.run("state", "triage", "--version", "1").output
    told = morning.json("state", "triage", "--version", 1)
    assert (told["version"], told["by"]) == (1, "run r1")
    missing = morning.run("state", "triage", "--version", "9")
    assert missing.exit_code == 1
    assert "loop 'triage' has no version 9 of its state; the newest is 2." in missing.output


def test_a_correction_is_one_more_line_in_a_persons_name(morning: Filled):
    day = datetime.now(UTC).date().isoformat()
    morning.run("state", "triage", "--correct", "test_total is\n quarantined", "--as", "noor")
    told = morning.json("state", "triage", "--correct", "not any more", "--as", "theo")
    assert told["version"] == 4
    assert told["body"].endswith(
        f"## Said by people\n- {day}, claimed: noor: test_total is quarantined\n"
        f"- {day}, claimed: theo: not any more"
    )
    assert "## Ended otherwise\n- fix test_tax" in told["body"]
    audit = asyncio.run(morning.store.audit())
    assert (audit[0]["who"], audit[0]["what"]) == ("claimed: theo", "state corrected")


@pytest.mark.parametrize("text", ["", "  ", "x" * 2001, "hidden\u202etext", "\x1b[2J"])
def test_what_a_reader_could_not_see_is_refused(morning: Filled, text: str):
    assert morning.run("state", "triage", "--correct", text).exit_code == 2
    assert morning.json("state", "triage")["version"] == 2


def test_a_loop_without_a_page_is_told_so(morning: Filled):
    done = morning.run("state", "nope")
    assert done.exit_code == 1
    assert "loop 'nope' has no state yet" in done.output


def test_a_loop_that_never_ran_can_be_told_something_but_only_if_it_exists(
    morning: Filled, tmp_path: Path
):
    done = morning.run("state", "night-fix", "--correct", "start small", "--registry", REGISTRY)
    assert done.exit_code == 0, done.exception
    assert "# State of night-fix" in done.output
    typo = morning.run("state", "nite-fix", "--correct", "start small", "--registry", REGISTRY)
    assert getattr(typo.exception, "exit_code", None) == 2
    assert "did you mean 'night-fix'" in str(typo.exception)


def test_words_from_outside_are_escaped(morning: Filled):
    body = "# State of triage\n- \x1b[8mhidden \u202egnihton\n\n## Said by people\nNothing."
    page = asyncio.run(morning.store.state("triage"))
    assert page is not None
    asyncio.run(morning.store.correct("triage", body, seen=page.version, by="item x", now=1))
    output = morning.run("state", "triage").output
    assert "- \\u{1b}[8mhidden \\u{202e}gnihton" in output
    assert "\x1b" not in output


def test_options_that_do_not_go_together_are_refused(morning: Filled):
    assert morning.run("state", "triage", "--as", "noor").exit_code == 2
    assert morning.run("state", "triage", "--correct", "x", "--version", "1").exit_code == 2
