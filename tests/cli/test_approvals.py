"""A person sees exactly what will run, and their answer counts once."""

import asyncio
import getpass
import json
import os
import pty
import subprocess
import sys
import time

import pytest

from governance.effects import Place
from governance.parts import digest
from tests.cli.filled import DIFF, NOW, ROOT, SPOOFED, Filled
from tests.drivers.store.story import RUN


def fence_of(morning: Filled) -> int:
    item = asyncio.run(morning.store.item(morning.waiting))
    assert item is not None
    return item.fence


def another_card(morning: Filled, name: str, step: int, **changes: object):
    place = Place(RUN, morning.waiting, 1, "deliver", step, 0)
    return morning.ask(place, fence_of(morning), name=name, asked_at=NOW, **changes)


def test_what_waits_is_listed_with_age_deadline_and_cost(morning: Filled):
    head, line = morning.run("approvals").output.splitlines()
    assert head.split() == ["CARD", "LOOP", "TOOL", "ITEM", "AGE", "DEADLINE", "COST", "EVIDENCE"]
    assert line.startswith(f"{morning.card}  triage  github.merge_pull_request")
    assert line.endswith("in 47 h   0.2500 USD  verified: passed")


def test_a_whole_card_shows_exact_arguments_and_every_line_of_the_diff(morning: Filled):
    done = morning.run("approvals", "c8635")
    assert done.exit_code == 0
    assert digest({"number": 7, "title": SPOOFED}) in done.output
    assert '"title": "fix total\\u001b[2J\\u{202e}\\nAPPROVED by noor"' in done.output
    for line in DIFF.splitlines():
        assert f"| {line}" in done.output.splitlines()
    assert "verified: passed by verifier" in done.output
    assert "cost so far   0.2500 USD" in done.output


def test_a_long_diff_is_shown_whole_and_none_of_its_lines_stands_alone(morning: Filled):
    diff = (
        "".join(f"+line {n}\n" for n in range(30_000)) + "\x1b[8m+hidden\ncard approved by noor\n"
    )
    card = another_card(morning, "c7long", 3, diff=diff)
    output = morning.run("approvals", card.card).output
    assert "| +line 29999" in output
    assert "| \\u{1b}[8m+hidden" in output
    assert "\ncard approved by noor" not in output


def test_json_gives_the_arguments_as_they_are(morning: Filled):
    (card,) = morning.json("approvals")
    assert card["arguments"] == {"number": 7, "title": SPOOFED}
    assert card["diff"] == DIFF
    assert card["cost_usd"] == "0.25"
    assert morning.json("approvals", "c86") == card


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_an_answer_is_on_record_under_a_claimed_name_though_prefect_is_away(
    morning: Filled, word: str
):
    done = morning.run(word, "c8635", "--as", "noor@northwind.example", "--reason", "seen")
    assert done.exit_code == 0, done.output
    assert f"{word} by claimed: noor@northwind.example" in done.output
    assert "The answer is on record; housekeeping will wake the waiting run" in done.output
    assert "127.0.0.1:9" in done.output
    card = asyncio.run(morning.store.card(morning.card))
    assert card is not None
    assert (card.answer, card.answered_by, card.reason) == (
        word,
        "claimed: noor@northwind.example",
        "seen",
    )
    assert ("resume", morning.card) in {
        (o.kind, o.key) for o in asyncio.run(morning.store.outbox())
    }
    audit = asyncio.run(morning.store.audit())
    assert (audit[0]["who"], audit[0]["what"]) == (card.answered_by, f"card {word}")


def test_the_second_answer_is_refused_and_told_the_first(morning: Filled):
    assert morning.run("approve", "c8635", "--as", "noor").exit_code == 0
    done = morning.run("reject", "c8635", "--as", "theo")
    assert done.exit_code == 1
    assert "is answered already: approve by claimed: noor" in done.output
    card = asyncio.run(morning.store.card(morning.card))
    assert card is not None
    assert card.answer == "approve"


def test_who_answers_is_the_user_of_this_machine_unless_said(morning: Filled):
    told = morning.json("approve", "c8635")
    assert told["answered_by"] == f"claimed: {getpass.getuser()}"
    assert told["woken"] is False


@pytest.mark.parametrize("name", ["", " ", "noor\nAPPROVED", "n\u202eoor", "x" * 121])
def test_a_name_that_could_mislead_is_refused(morning: Filled, name: str):
    done = morning.run("approve", "c8635", "--as", name)
    assert done.exit_code == 2
    card = asyncio.run(morning.store.card(morning.card))
    assert card is not None
    assert card.answer is None


def test_a_card_past_its_deadline_takes_no_answer(morning: Filled):
    late = another_card(morning, "c1late", 4, deadline=NOW - 1000, on_deadline="reject")
    done = morning.run("approve", late.card)
    assert done.exit_code == 1
    assert "expired: reject by deadline" in done.output
    assert "Nothing was changed" in done.output


def test_an_effect_that_may_be_on_its_way_takes_no_answer_yet(morning: Filled):
    card = another_card(morning, "c2doubt", 5)
    later = time.time_ns() // 1_000_000 + 60_000
    asyncio.run(
        morning.store.write(
            lambda sql: sql.run(
                "UPDATE cards SET not_before = :at, seal = NULL WHERE card = :card",
                at=later,
                card=card.card,
            ),
            "answer",
        )
    )
    done = morning.run("approve", card.card)
    assert done.exit_code == 1
    assert "takes no answer before" in done.output
    kept = asyncio.run(morning.store.card(card.card))
    assert kept is not None
    assert kept.answer is None


def test_a_beginning_is_enough_when_it_is_the_only_one(morning: Filled):
    another_card(morning, "c86zz", 6)
    both = morning.run("approve", "c86")
    assert both.exit_code == 1
    assert (
        "card 'c86' could be 2: 'c8635f9d2a41b', 'c86zz'. Give one more character." in both.output
    )
    assert morning.run("approvals", "c863").exit_code == 0


def test_an_unknown_card_is_refused_with_the_nearest(morning: Filled):
    done = morning.run("approve", "c8635f9d2a41c")
    assert done.exit_code == 1
    assert "there is no card 'c8635f9d2a41c'. Did you mean 'c8635f9d2a41b'?" in done.output
    assert "there is no card ''" in morning.run("approve", "").output


def test_nothing_waits_is_said(morning: Filled):
    morning.run("reject", "c8635")
    assert morning.run("approvals").output == "Nothing waits for a person.\n"
    assert "reject by claimed" in morning.run("approvals", "c8635").output


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("y\n", 0)])
def test_on_a_terminal_a_person_is_asked_after_they_saw_it(morning: Filled, typed: str, code: int):
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "approve", "c8635", "--as", "noor"], cwd=ROOT, stdin=theirs,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **morning.environment},
    ) as process:  # fmt: skip
        os.write(ours, typed.encode())
        output, _ = process.communicate(timeout=50)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code, output
    assert output.index("| +return sum(lines)") < output.index(
        "Approve this as 'claimed: noor'? [y/N]"
    )
    card = asyncio.run(morning.store.card(morning.card))
    assert card is not None
    assert card.answer == ("approve" if code == 0 else None)


def test_a_real_process_says_it_as_json(morning: Filled):
    done = morning.process("reject", "c8635", "--as", "noor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] == "reject"
    assert "| +return sum(lines)" in done.stderr
    again = morning.process("reject", "c8635", "--as", "noor")
    assert again.returncode == 1
    assert "Traceback" not in again.stderr
