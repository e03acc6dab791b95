"""`loops trace` shows every try of every effect, in its place."""

from tests.cli.filled import Filled
from tests.drivers.store.story import RUN


def test_an_item_is_a_tree_of_lanes_effects_and_tries(morning: Filled):
    lines = morning.run("trace", morning.waiting).output.splitlines()
    assert lines[0].split() == ["WHAT", "STATUS", "SECONDS", "TOKENS", "COST", "NOTE"]
    assert lines[1].startswith(f"item {morning.waiting}")
    body = "\n".join(" ".join(line.split()) for line in lines[2:])
    assert body == (
        "maker, round 1\n"
        "model claude-sonnet-4-6 failed 10.0 - 0.0000 USD failed: overloaded\n"
        "model claude-sonnet-4-6, try 2 unknown 10.0 - unknown unknown: the line went dead\n"
        "model claude-sonnet-4-6, try 3 done 14.0 1204+311 0.2500 USD\n"
        "tool github.delete_repository refused - - - Refused (grants): not among the grants.\n"
        "maker-0-1-drafter, round 1\n"
        "model claude-sonnet-4-6 done 14.0 - 0.1250 USD\n"
        "evidence verified about tttttttttttt passed - - - by verifier: exit code 0\n"
        f"card {morning.card} github.merge_pull_request waiting - - - destructive"
    )
    # A delegate's lane stands below the lane that called it.
    assert "    maker-0-1-drafter, round 1" in lines
    assert "  maker, round 1" in lines


def test_a_run_holds_its_items_and_their_sum(morning: Filled):
    output = morning.run("trace", RUN).output
    assert f"run {RUN} triage, slot 2026-06-02T06:00:00Z" in output
    assert output.splitlines()[1].split()[-8:-4] == ["+", "1", "unknown", "3"]
    for item in (morning.waiting, morning.stopped, morning.fresh):
        assert f"  item {item}" in output
    assert "not_reproduced: the verifier passes on the untouched base" in output


def test_an_answered_card_says_who_answered(morning: Filled):
    morning.run("reject", morning.card, "--as", "noor", "--reason", "too big")
    output = morning.run("trace", morning.waiting).output
    assert "reject by claimed: noor at " in output
    assert output.rstrip().endswith(": too big")


def test_json_has_each_try_with_its_span_and_exact_cost(morning: Filled):
    told = morning.json("trace", morning.waiting)
    (maker,) = told["lanes"]
    model, refused = maker["effects"]
    assert [t["status"] for t in model["tries"]] == ["failed", "unknown", "done"]
    assert [t["cost_usd"] for t in model["tries"]] == ["0", None, "0.25"]
    assert len({t["span"] for t in model["tries"]}) == 3
    assert len({t["parent_span"] for t in model["tries"]}) == 1
    assert model["tries"][1]["error_message"] == "the line went dead"
    assert refused["refused"] == "Refused (grants): not among the grants."
    assert refused["tries"] == []
    assert maker["lanes"][0]["lane"] == "maker-0-1-drafter"
    assert told["cost_usd"] == "0.375"
    assert told["cards"][0]["card"] == morning.card
    assert [i["item"] for i in morning.json("trace", "r1")["items"]] == [
        morning.waiting,
        morning.stopped,
        morning.fresh,
    ]


def test_a_beginning_of_an_id_is_enough_and_an_unknown_one_is_refused(morning: Filled):
    assert morning.json("trace", morning.stopped[:6])["item"] == morning.stopped
    done = morning.run("trace", "i")
    assert done.exit_code == 1
    assert "run or item 'i' could be 3" in done.output
    near = morning.run("trace", morning.stopped[:-1] + "zz")
    assert near.exit_code == 1
    assert f"Did you mean '{morning.stopped}'" in near.output


def test_nothing_from_outside_reaches_the_terminal_raw(morning: Filled):
    output = morning.run("trace", RUN).output
    assert "\x1b" not in output
    assert "\u202e" not in output
