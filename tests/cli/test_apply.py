"""Prefect watches for what no process of ours can report, once, and only by what we installed."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.apply import Planned, differing
from cli.rules import effective, table
from cli.watches import OWNER, watches
from governance.parts import Json
from tests.cli.filled import ROOT
from tests.cli.prefect_server import PASSWORD, Server, serving
from tests.governance.registry_texts import examined

NAME = "looprail: a process fell silent"


def installed(**changes: Any) -> Json:
    """What is wanted, as Prefect gives it back."""
    (wanted,) = watches()
    trigger = {**wanted["trigger"], "id": "t1", "within": 90.0, "expect": ["prefect.flow-run.*"]}
    trigger["after"] = list(reversed(wanted["trigger"]["after"]))
    found: Json = {**wanted, "id": "a1", "created": "2026-01-01", "trigger": trigger, "tags": []}
    return {**found, **changes}


def test_what_is_there_already_is_left_as_it_is() -> None:
    assert differing(watches(), [installed()]) == (Planned(NAME, "none", id="a1"),)


def test_what_is_missing_is_installed_and_what_differs_is_told_field_by_field() -> None:
    assert differing(watches(), []) == (Planned(NAME, "install"),)
    (found,) = differing(watches(), [installed(description="of last year")])
    assert (found.change, found.id) == ("update", "a1")
    assert [f.partition(":")[0] for f in found.fields] == ["description"]


def test_a_changed_trigger_or_action_is_seen() -> None:
    wanted = installed()
    for field, change in (
        ("trigger", {**wanted["trigger"], "within": 15}),
        ("trigger", {**wanted["trigger"], "expect": ["prefect.flow-run.Completed"]}),
        ("actions", [{**wanted["actions"][0], "force": True}]),
    ):
        (found,) = differing(watches(), [installed(**{field: change})])
        assert found.change == "update", field


def test_an_automation_that_a_person_paused_stays_paused() -> None:
    (found,) = differing(watches(), [installed(enabled=False)])
    assert (found.change, found.paused) == ("none", True)
    assert "it stays paused" in found.line(dry=False)


def test_what_is_ours_and_not_wanted_any_more_goes_and_so_does_a_second_one() -> None:
    old = installed(name="looprail: of last year", id="a0")
    twice = installed(id="a2", created="2026-01-02")
    assert differing(watches(), [twice, old, installed()]) == (
        Planned("looprail: of last year", "remove", id="a0"),
        Planned(NAME, "remove", id="a2"),
        Planned(NAME, "none", id="a1"),
    )


def test_whatever_state_a_run_of_ours_ends_in_it_has_not_fallen_silent() -> None:
    """A state's event has the state's name, and ours are named by their reason: Done, Rejected, Lives."""
    (wanted,) = watches()
    assert wanted["trigger"]["expect"] == ["prefect.flow-run.*"]
    assert wanted["trigger"]["within"] >= 60
    assert wanted["actions"][0]["force"] is False


def test_a_plan_says_which_calls_a_limit_on_usd_does_not_count() -> None:
    rules = "budgets: [{name: day, usd: 5, per: day}, {name: calls, calls: 9, per: day}]\n"
    registry = examined(budgets=rules).registry
    assert registry is not None
    found = effective(registry, (), ())
    assert {e.rule: e.as_json()["uncounted"] for e in found} == {
        "day": ["ci", "github", "sandbox"], "calls": [],
    }  # fmt: skip
    assert table(found).endswith(
        "\nNot counted by day, since nobody has declared what it costs: ci, github, sandbox. See `loops check`."
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("apply")) as running:
        yield running


def automations(server: Server) -> list[Json]:
    user, _, password = PASSWORD.partition(":")
    answer = httpx.post(
        f"http://127.0.0.1:{server.port}/api/automations/filter", json={}, auth=(user, password)
    )
    return answer.raise_for_status().json()


def send(server: Server, method: str, path: str, body: Json) -> Json | None:
    user, _, password = PASSWORD.partition(":")
    url = f"http://127.0.0.1:{server.port}/api{path}"
    answer = httpx.request(method, url, json=body, auth=(user, password)).raise_for_status()
    return answer.json() if answer.content else None


def where(server: Server) -> dict[str, str]:
    """A registry and a store to put rules in."""
    return {
        "LOOPRAIL_REGISTRY": str(ROOT / "registry"),
        "LOOPRAIL_STORE_URL": f"sqlite:///{server.home / 'store.db'}",
        "LOOPRAIL_BLOBS": str(server.home / "blobs"),
    }


def applied(server: Server, command: str = "apply") -> list[str]:
    done = server.run(command, "--json", **where(server))
    assert done.exit_code == 0, done.output
    return [one["change"] for one in json.loads(done.stdout)["automations"]]


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_applying_again_changes_nothing_and_touches_nothing_of_anybody_else(server: Server) -> None:
    theirs = {**watches()[0], "name": "of somebody", "description": "made in the UI"}
    send(server, "POST", "/automations/", theirs)

    assert applied(server, "plan") == ["install"]
    assert [a["name"] for a in automations(server)] == ["of somebody"]
    assert applied(server) == ["install"]
    assert applied(server) == ["none"]
    assert sorted(a["name"] for a in automations(server)) == [NAME, "of somebody"]

    (ours,) = [a for a in automations(server) if a["name"] == NAME]
    changed = {**watches()[0], "description": "of last year", "enabled": False}
    send(server, "PUT", f"/automations/{ours['id']}", changed)
    said = server.run("plan", **where(server)).output
    assert "would be updated; a person has paused it, and it stays paused" in said
    assert "description: 'of last year' becomes 'Installed by" in said
    assert applied(server) == ["update"]
    assert applied(server) == ["none"]
    (ours,) = [a for a in automations(server) if a["name"] == NAME]
    assert (ours["enabled"], ours["description"]) == (False, watches()[0]["description"])

    gone = {**watches()[0], "name": "looprail: of last year", "owner_resource": OWNER}
    send(server, "POST", "/automations/", gone)
    assert sorted(applied(server)) == ["none", "remove"]
    assert sorted(a["name"] for a in automations(server)) == [NAME, "of somebody"]


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_server_that_is_not_there_is_named_with_the_way_out(server: Server) -> None:
    done = server.process("apply", PREFECT_API_URL="http://127.0.0.1:9/api", **where(server))
    assert done.returncode == 1
    assert "Prefect at http://127.0.0.1:9/api" in done.stderr
    assert "prefect server start" in done.stderr


@pytest.mark.prefect
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_rule_about_fan_outs_is_planned_put_in_force_and_taken_away_like_any_other(
    server: Server, tmp_path: Path
) -> None:
    registry = shutil.copytree(ROOT / "registry", tmp_path / "registry")
    budgets = registry / "budgets.yaml"
    here = {**where(server), "LOOPRAIL_REGISTRY": str(registry),
            "LOOPRAIL_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}"}  # fmt: skip

    def told(*words: str) -> Json:
        done = server.run(*words, "--json", **here)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def changes(*words: str) -> list[tuple[str, str]]:
        return [(one["rule"], one["change"]) for one in told(*words)["fan_outs"]]

    assert changes("plan") == [("at-once", "install")]
    assert changes("apply", "--as", "noor") == [("at-once", "install")]
    assert changes("plan") == [("at-once", "none")]
    limits = {e["rule"]: e for e in told("plan")["effective"] if e["loop"] == "night-fix"}
    at_once = limits["at-once"]
    assert (at_once["cap"], at_once["unit"], at_once["per"]) == ("25", "usd", "fan-out")
    assert at_once["by"] == "claimed: noor"

    budgets.write_text(
        budgets.read_text().replace("name: at-once, usd: 25", "name: at-once, items: 4")
    )
    said = server.run("plan", **here).output
    assert (
        "fan-out rule at-once: would be updated\n  items: not set becomes 4\n  usd: 25 becomes not set"
        in said
    )
    assert changes("apply") == [("at-once", "update")]

    right = budgets.read_text()
    budgets.write_text(right.replace("items: 4", "items: 0"))
    wrong = server.run("apply", **here)
    assert "registry/budgets.yaml:11: fan_outs[0].items: 0 is too small" in str(wrong.exception)
    budgets.write_text(right.partition("fan_outs:")[0])
    assert changes("plan") == [("at-once", "remove")], "what is wrong leaves in force what was"
    assert changes("apply") == [("at-once", "remove")]
    assert told("plan")["fan_outs"] == []
