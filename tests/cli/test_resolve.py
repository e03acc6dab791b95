"""Whoever looked says what happened, and that it is something else than a yes is told."""

import asyncio
import json

import pytest

from governance.effects import InDoubt, Place
from governance.parts import Json
from governance.records import Card
from tests.cli.filled import NOW, Filled, intent_at
from tests.cli.test_approvals import another_card, fence_of
from tests.drivers.store.story import RUN

FACTS: Json = {
    "process": {"fate": "dead", "why": "proven dead: there is no process 7 on vm"},
    "probe": {
        "tool": "github.list_pull_requests", "arguments": {"head": "fix"}, "at": "2026-06-02 06:10 UTC",
        "text": "[...]", "found": [{"number": 7, "title": "fix\u202e"}],
    },
}  # fmt: skip


@pytest.fixture
def doubt(morning: Filled) -> Card:
    """A pull request that may have been made, and what is known about it."""

    fence = fence_of(morning)

    async def lose() -> Card:
        store = morning.store
        place = Place(RUN, morning.waiting, 1, "deliver", 7, 0)
        write = intent_at(place, fence, name="github.create_pull_request", args={"head": "fix"}, repeatable=False)  # fmt: skip
        await store.intend(write)
        await store.fail(place, 1, status="unknown", error="unknown", attributes={}, now=NOW - 900)
        got = await store.intend(write)
        assert isinstance(got, InDoubt)
        return await store.learned(got.card, FACTS, fence=fence)

    return asyncio.run(lose())


def kept(morning: Filled, card: str) -> Card:
    found = asyncio.run(morning.store.card(card))
    assert found is not None
    return found


def test_what_is_known_stands_on_the_card_escaped(morning: Filled, doubt: Card):
    shown = morning.run("approvals", doubt.card).output
    assert f"{doubt.card} (in doubt)" in shown
    assert "proven dead: there is no process 7 on vm" in shown
    assert "github.list_pull_requests was asked at 2026-06-02 06:10 UTC" in shown
    assert "1 of what it shows is this call's" in shown
    assert '"title": "fix\\u{202e}"' in shown
    assert "This may have happened already, with exactly these arguments" in shown
    assert f"loops resolve {doubt.card} happened|not-happened|abandon" in shown
    told = morning.json("approvals", doubt.card)
    assert (told["kind"], told["facts"]) == ("in_doubt", FACTS)


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_a_yes_or_no_to_what_may_have_happened_is_shown_the_way(
    morning: Filled, doubt: Card, word: str
):
    done = morning.run(word, doubt.card, "--yes")
    assert done.exit_code == 1
    assert f"{word!r} answers another question. Nothing was changed" in done.output
    assert f"`loops resolve {doubt.card} happened|not-happened|abandon`" in done.output
    assert "it did not: it is started once more" in done.output
    assert kept(morning, doubt.card).answer is None


def test_an_approval_is_not_resolved(morning: Filled):
    done = morning.run("resolve", morning.card, "happened", "--yes")
    assert done.exit_code == 1
    assert f"answer it with `loops approve {morning.card}`" in done.output


def test_what_happened_is_kept_with_what_it_gave(morning: Filled, doubt: Card):
    told = morning.json(
        "resolve", doubt.card, "happened", "--result", '{"number": 12}', "--as", "noor"
    )
    assert (told["answer"], told["woken"]) == ("happened", False)
    assert told["result"]["structured"] == {"number": 12}
    assert "noor" in told["answered_by"]


def test_without_a_result_what_the_far_side_showed_counts(morning: Filled, doubt: Card):
    told = morning.json("resolve", doubt.card[:6], "happened")
    assert told["result"]["structured"] == {"number": 7, "title": "fix\u202e"}


@pytest.mark.parametrize("word", ["not-happened", "abandon"])
def test_the_other_words_are_kept_and_carry_no_result(morning: Filled, doubt: Card, word: str):
    done = morning.run("resolve", doubt.card, word, "--result", "7")
    assert done.exit_code == 2
    assert "--result says what a call gave that happened" in done.output
    told = morning.json("resolve", doubt.card, word, "--reason", "not there")
    assert (told["answer"], told["reason"], told["result"]) == (word, "not there", None)
    again = morning.run("resolve", doubt.card, "happened")
    assert again.exit_code == 1
    assert "is answered already" in again.output


def test_a_doubt_is_not_restarted_and_a_word_nobody_knows_is_refused(morning: Filled, doubt: Card):
    done = morning.run("resolve", doubt.card, "restart")
    assert (done.exit_code, "answers another question" in done.output) == (1, True)
    done = morning.run("resolve", doubt.card, "perhaps")
    assert done.exit_code == 2
    assert "happened" in done.output


def test_a_round_that_diverged_says_what_is_paid_again_and_is_restarted(morning: Filled):
    again = {
        "model_calls": 4, "commands": 2, "cost_usd": "0.021294", "writes": ["github.create_pull_request"],
    }  # fmt: skip
    card = another_card(
        morning, "c4div", 9, kind="diverged", facts={"again": again}, diff=None, tree=None
    )
    shown = morning.run("approvals", card.card).output
    assert "4 model calls and 2 commands of 0.021294 USD" in shown
    assert "written outside: github.create_pull_request" in shown
    assert f"loops resolve {card.card} restart|abandon" in shown
    told = morning.json("resolve", card.card, "restart", "--as", "noor")
    assert told["answer"] == "restart"


def test_the_help_shows_examples(morning: Filled):
    shown = morning.run("resolve", "--help").output
    for part in ("happened --result", "not-happened", "restart", "--json"):
        assert part in shown
    assert json.loads(shown.split("--result '")[1].split("'")[0]) == {"number": 7}
