"""What is different now from when an item began to wait?"""

from dataclasses import replace

import pytest

from governance.organisation import Rule
from governance.parts import Json, digest
from governance.registry import Registry
from governance.standing import differences, standing
from tests.governance.registry_texts import LOOP, ORG, examined

HELD = {"mcp-server/github": "d1 2026-06-01 06:00:00+00:00"}


def registry(org: str = ORG, loop: str = LOOP) -> Registry:
    found = examined(org=org, loop=loop).registry
    assert found is not None
    return found


def now(told: Registry, held: dict[str, str] | None = None) -> Json:
    return standing(told, "fix", HELD if held is None else held)


BEFORE = registry()
PINNED = digest(BEFORE.pinned("fix"))


def changes(after: Registry, held: dict[str, str] | None = None) -> tuple[str, ...]:
    return differences(now(BEFORE), now(after, held), PINNED)


def test_nothing_changed_is_nothing_said() -> None:
    assert changes(registry()) == ()


def test_a_new_definition_is_named_beside_the_one_the_item_keeps() -> None:
    after = registry(loop=LOOP.replace("Europe/Berlin", "Europe/Paris"))
    new = digest(after.pinned("fix"))[7:19]
    assert changes(after) == (
        f"the definition in the registry is {new} now, it was {PINNED[7:19]}; "
        f"this item goes on with {PINNED[7:19]}",
    )


def test_a_loop_that_is_gone_is_said_to_be() -> None:
    gone = replace(BEFORE, loops={})
    assert "the loop is in the registry no more" in changes(gone)


def test_rules_that_came_and_went_are_told_whole() -> None:
    after = registry(org=ORG.replace("effect: ask", "effect: deny"))
    assert changes(after) == (
        'rule added: {"agent":"*","effect":"deny","reason":"people read it","tool":"*.add_*"}',
        'rule removed: {"agent":"*","effect":"ask","reason":"people read it","tool":"*.add_*"}',
    )
    assert Rule.model_validate_json(changes(after)[0].partition(": ")[2]).effect == "deny"


def test_grants_are_told_agent_by_agent() -> None:
    after = registry(loop=LOOP.replace("mcp_servers: [github, ci]", "mcp_servers: {github: [merge_pull_request], ci: [list_failures]}"))  # fmt: skip
    told = changes(after)[1:]
    assert told == (
        "lead is granted ci.list_failures",
        "lead is granted github.merge_pull_request",
        "lead is granted ci.* no more",
        "lead is granted github.* no more",
    )


def test_an_approval_that_changed_is_told_with_both_words() -> None:
    after = registry(loop=LOOP.replace("pause_for_human", "deny"))
    assert 'approvals merge_pr: "deny", it was "pause_for_human"' in changes(after)


def test_a_label_that_changed_is_told_and_those_of_other_connectors_are_not() -> None:
    after = registry(org=ORG.replace("add_comment: {destructive: false", "add_comment: {destructive: true"))  # fmt: skip
    (told,) = changes(after)
    assert told.startswith("label of github.add_comment: {")
    other = registry(org=ORG.replace("connectors:\n", "connectors:\n  mail: {server: mail, tools: {send: {}}}\n"))  # fmt: skip
    assert changes(other) == ()


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({}, "credential mcp-server/github is gone"),
        ({"mcp-server/github": "d2 2026-06-01 06:00:00+00:00"}, "credential mcp-server/github is another one"),
        (
            {"mcp-server/github": "d1 2026-06-03 08:30:00+00:00"},
            "credential mcp-server/github was changed at 2026-06-03 08:30:00+00:00",
        ),
    ],
)  # fmt: skip
def test_a_credential_is_known_by_its_document_and_never_by_its_secret(
    held: dict[str, str], said: str
) -> None:
    assert changes(registry(), held) == (said,)


def test_a_credential_that_came_is_new() -> None:
    assert changes(registry(), {**HELD, "repository/x": "d9 t"}) == (
        "credential repository/x is new",
    )
