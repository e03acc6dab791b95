"""`loops fanout` shows what is kept back and at which price, and lets it go or ends it in a person's name."""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from cli.follow import Seen, Watched, picture
from cli.inbox import Standing
from cli.rules import effective, plan_rules
from cli.source import load_registry
from cli.spent import Spent
from governance.budgets import FanOutRule
from governance.fanout import Ceiling
from governance.parts import PICO
from tests.cli.filled import ROOT, Filled, filled, invoke
from tests.drivers.store.story import LOOP, RUN, Story, finding

NOW = time.time_ns() // 1_000_000
WHY = ("--why", "release night", "--as", "noor", "--yes")
SPOOFED = "fix total\x1b[2J\u202e"


@pytest.fixture
def kept_back(tmp_path: Path) -> Iterator[Filled]:
    """A store with a fan-out of two for at most 20 USD, where a rule allows 5, and one that went."""
    told = filled(tmp_path, _fill)
    yield told
    told.store.disconnect()


async def _fill(told: Filled) -> None:
    store, story = told.store, Story(told.store)
    rule = FanOutRule(name="at-once", usd=Decimal(5))
    await store.put_rules((), (rule,), by="claimed: ines", now=NOW - 9000)
    for run, names, most in ((RUN, (SPOOFED, "test_tax"), 20), ("r2", ("test_rates",), 5)):
        await story.open_run(run, run, now=NOW - 5000)
        await store.found(
            run, tuple(finding(n, run) for n in names), definition="sha256:d", budgets=(), state=None,
            summary="found", now=NOW - 4000,
            ceilings=(Ceiling("harness.max_cost_usd_per_run", most * PICO),),
        )  # fmt: skip


def test_what_is_kept_back_is_listed_with_its_price_and_the_rule_it_is_above(kept_back: Filled):
    (row,) = kept_back.json("fanout", "list")
    assert row | {"at": None} == {
        "run": RUN, "loop": LOOP, "items": 2, "expected_usd": "20", "each_usd": None,
        "rests_on": "harness.max_cost_usd_per_run", "past_items": 0, "standing": "kept back",
        "told": "2 items for at most 20.0000 USD (harness.max_cost_usd_per_run; no item of its past, 5 are needed),"
        " above the 5 USD of rule 'at-once'",
        "refused_by": [{"rule": "at-once", "unit": "usd", "limit": "5"}],
        "at": None, "by": None, "why": None, "answered_at": None,
    }  # fmt: skip
    head, line = kept_back.run("fanout", "list").output.splitlines()
    assert head.split() == ["RUN", "LOOP", "ITEMS", "PRICE", "STANDING", "AGE", "SAID"]
    assert line.split()[:7] == [RUN, LOOP, "2", "20.0000", "USD", "kept", "back"]
    every = kept_back.json("fanout", "list", "--all")
    assert {r["run"]: r["standing"] for r in every} == {RUN: "kept back", "r2": "allowed"}


def test_the_inbox_and_the_trace_show_what_is_kept_back_and_the_way_out(kept_back: Filled):
    shown = kept_back.run("inbox").output
    assert shown.count("kept_back") == 2
    assert shown.count("The fan-out is kept back: 2 items for at most 20.0000 USD") == 1
    assert f"`loops fanout allow {RUN}`" in shown
    traced = kept_back.run("trace", RUN).output
    (line,) = [one for one in traced.splitlines() if one.startswith("  fan-out of 2 ")]
    assert "kept back" in line
    assert "above the 5 USD of rule 'at-once'" in line
    assert kept_back.json("trace", "r2")["fan_out"]["standing"] == "allowed"


def test_who_follows_a_run_that_is_kept_back_is_told_why_and_does_not_wait_for_ever(
    kept_back: Filled,
):
    run = asyncio.run(kept_back.store.run(RUN))
    items = asyncio.run(kept_back.store.items(run=RUN))
    watched = tuple(Watched(Standing(i, Spent(), ()), "-", ()) for i in items)
    seen = Seen(LOOP, "Fan out", True, False, run, watched, Spent())
    assert (seen.over, seen.well) == (True, False)
    out = io.StringIO()
    Console(file=out, width=1000).print(picture(seen, 0))
    assert out.getvalue().count(f"`loops fanout allow {RUN}`") == 1


def test_what_is_let_go_is_shown_before_and_on_record_after(kept_back: Filled):
    done = kept_back.run("fanout", "allow", RUN, *WHY)
    assert done.exit_code == 0, done.output
    assert "fix fix total\\u{1b}[2J\\u{202e}" in done.output
    # Nobody listens where Prefect should be: it is on record, and the dispatch follows.
    assert "It is on record; housekeeping will have what was kept back go on" in done.output
    assert {i["status"] for i in kept_back.json("inbox")} == {"found"}
    (row,) = [r for r in kept_back.json("fanout", "list", "--all") if r["run"] == RUN]
    assert (row["standing"], row["by"], row["why"]) == ("let go", "claimed: noor", "release night")
    assert kept_back.run("fanout", "list").output == "Nothing is kept back.\n"
    assert "let go by claimed: noor at " in kept_back.run("trace", RUN).output


def test_what_is_discarded_is_stopped_as_rejected(kept_back: Filled):
    done = kept_back.run("fanout", "discard", RUN, *WHY, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["standing"], told["dispatched"], len(told["item_ids"])) == ("discarded", False, 2)
    stopped = [i for i in kept_back.json("inbox", "--all") if i["run"] == RUN]
    assert [i["stop"]["reason"] for i in stopped] == ["rejected"] * 2
    assert stopped[0]["stop"]["detail"] == "claimed: noor discarded its fan-out: release night"
    page = kept_back.json("state", LOOP)["body"]
    assert "discarded its fan-out: release night" in page


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("allow", "r2"), 1, "nothing was changed: the fan-out of run 'r2' was allowed by the rules"),
        (("discard", "r9"), 1, "there is no run that is kept back 'r9'."),
        (("allow", RUN, "--why", " "), 2, "--why takes 1 to 2,000 visible characters"),
        (("allow", RUN, "--as", "a\x1b"), 2, "--as takes a name"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    kept_back: Filled, words: tuple[str, ...], code: int, told: str
):
    before = kept_back.json("fanout", "list", "--all")
    done = kept_back.run("fanout", words[0], *WHY, *words[1:])
    assert (done.exit_code, told in done.output) == (code, True), done.output
    assert kept_back.json("fanout", "list", "--all") == before


def test_the_second_word_changes_nothing_and_names_the_first(kept_back: Filled):
    assert kept_back.run("fanout", "allow", RUN, *WHY).exit_code == 0
    done = kept_back.run("fanout", "discard", RUN, "--why", "no", "--yes")
    assert done.exit_code == 1
    assert "was let go before, by claimed: noor: release night" in done.output


def test_the_sample_registry_limits_what_each_loop_hands_out_at_once():
    registry = load_registry(ROOT / "registry")
    (planned,) = plan_rules(registry.fan_outs, ())
    assert (planned.rule, planned.change, planned.fields[0]) == ("at-once", "install", "usd: 25")
    found = [e for e in effective(registry, (), ()) if e.per == "fan-out"]
    assert {e.loop for e in found} == set(registry.loops)
    assert {(e.rule, e.whose, e.unit, e.cap, e.by) for e in found} == {
        ("at-once", "each loop", "usd", "25", None)
    }
    environment = {
        "LOOPRAIL_REGISTRY": str(ROOT / "registry"),
        "PREFECT_API_URL": "http://127.0.0.1:9/api",
    }
    shown = json.loads(invoke(environment, "show", "night-fix", "--json").stdout)
    assert [(r["name"], r["usd"]) for r in shown["fan_outs"]] == [("at-once", "25")]
    text = invoke(environment, "show", "night-fix").output
    assert "fan-out (at-once)" in text
    assert "25 USD" in text
