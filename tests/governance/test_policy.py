"""May this call be made? The laws of the gate, over any rules in any order."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance.conversation import ToolSpec
from governance.definition import Harness, Loop
from governance.effects import Principal
from governance.organisation import ConnectorEntry, ModelEntry, Organisation, Rule, ToolLabels
from governance.policy import STRENGTH, Decision, Traits, policy_digest, traits, weigh

EFFECTS = ("allow", "ask", "deny")
WORDS = {"allow": "allow", "ask": "pause_for_human", "deny": "deny"}
READ = Traits(True, False, False, True, True, True)
WRITE = Traits(False, False, False, True, False, True)
DESTROY = Traits(False, True, True, True, False, True)
UNKNOWN = Traits(False, True, True, True, False, False)

effects = st.sampled_from(EFFECTS)
globs = st.sampled_from(["*", "github.*", "github.send", "*.send", "*.other", "github.sen?"])
agents = st.sampled_from(["*", "lead", "fix-*", "checker", "maker"])
rules = st.lists(
    st.builds(Rule, tool=globs, agent=agents, effect=effects, reason=st.just("")), max_size=5
).map(tuple)
natures = st.sampled_from([READ, WRITE, DESTROY, UNKNOWN])
roles = st.sampled_from(["lead", "maker", "checker", "explorer", "verifier", "delegate", "loop"])
approvals = st.sampled_from([*WORDS.values(), None])


def organisation(*told: Rule) -> Organisation:
    return Organisation(
        name="Northwind",
        models={"m": ModelEntry(provider="p")},
        connectors={"github": ConnectorEntry(server="github", tools={"send": ToolLabels()})},
        aliases={"send_it": "github.send"},
        rules=told,
    )


def loop(approval: str | None = None, **changes: Any) -> Loop:
    told: Any = {"github.send": approval} if approval else {}
    return Loop(
        name="triage",
        model="m",
        instructions="triage.md@v1",
        mcp_servers=("github",),
        harness=Harness(approvals=told),
        **changes,
    )


def decide(
    *told: Rule, approval: str | None = None, role: str = "lead", kind: Traits = WRITE,
    grants: Any = ("github",), tool: str = "send", heartbeat: bool = False,
) -> Decision:  # fmt: skip
    return weigh(
        loop=loop(approval),
        organisation=organisation(*told),
        by=Principal(
            "triage", "noor", "platform", "lead" if role == "lead" else f"fix-{role}", role
        ),
        grants=grants,
        connector="github",
        tool=tool,
        traits=kind,
        heartbeat=heartbeat,
    )


@given(rules, approvals, natures, roles, st.booleans(), st.randoms())
def test_the_order_of_rules_never_matters(
    told: Any, approval: Any, kind: Any, role: str, heartbeat: bool, chance: Any
) -> None:
    mixed = list(told)
    chance.shuffle(mixed)
    facts: Any = {"approval": approval, "kind": kind, "role": role, "heartbeat": heartbeat}
    assert decide(*told, **facts).effect == decide(*mixed, **facts).effect


@given(
    rules,
    approvals,
    natures,
    roles,
    st.booleans(),
    st.builds(Rule, tool=globs, agent=agents, effect=effects),
)
def test_one_more_rule_never_loosens(
    told: Any, approval: Any, kind: Any, role: str, heartbeat: bool, more: Rule
) -> None:
    facts: Any = {"approval": approval, "kind": kind, "role": role, "heartbeat": heartbeat}
    before, after = decide(*told, **facts), decide(*told, more, **facts)
    assert STRENGTH[after.effect] >= STRENGTH[before.effect]


@given(rules, approvals, natures, roles, st.booleans())
def test_a_loop_cannot_loosen_what_the_organisation_says(
    told: Any, approval: Any, kind: Any, role: str, heartbeat: bool
) -> None:
    facts: Any = {"kind": kind, "role": role, "heartbeat": heartbeat}
    bare, with_loop = decide(*told, **facts), decide(*told, approval=approval, **facts)
    assert STRENGTH[with_loop.effect] >= STRENGTH[bare.effect]


@given(rules, approvals, natures, roles, st.booleans())
def test_deny_beats_ask_beats_allow(
    told: Any, approval: Any, kind: Any, role: str, heartbeat: bool
) -> None:
    facts: Any = {"approval": approval, "kind": kind, "role": role, "heartbeat": heartbeat}
    stronger = decide(*told, Rule(tool="*", effect="ask"), **facts)
    assert stronger.effect in ("ask", "deny")
    assert decide(*told, Rule(tool="*", effect="deny"), **facts).effect == "deny"


@given(rules, approvals, natures.filter(lambda k: not k.read_only), st.booleans())
def test_who_only_reads_never_gets_a_write(
    told: Any, approval: Any, kind: Any, heartbeat: bool
) -> None:
    for role in ("checker", "explorer", "verifier"):
        assert (
            decide(*told, approval=approval, kind=kind, role=role, heartbeat=heartbeat).effect
            == "deny"
        )
    for role in ("lead", "maker", "loop", "delegate"):
        assert (
            decide(*told, approval=approval, kind=kind, role=role, heartbeat=True).effect == "deny"
        )


@given(rules, approvals, natures, roles)
def test_a_heartbeat_never_asks(told: Any, approval: Any, kind: Any, role: str) -> None:
    assert decide(*told, approval=approval, kind=kind, role=role, heartbeat=True).effect != "ask"


@given(rules, approvals, natures, roles, st.booleans())
def test_nothing_that_is_not_granted_happens(
    told: Any, approval: Any, kind: Any, role: str, heartbeat: bool
) -> None:
    allow_all = Rule(tool="*", effect="allow")
    for grants in ((), ("gitlab",), {"github": ("sent",)}, {"gitlab": ("send",)}):
        decision = decide(
            *told,
            allow_all,
            approval=approval,
            kind=kind,
            role=role,
            heartbeat=heartbeat,
            grants=grants,
        )
        assert (decision.effect, decision.rule) == ("deny", "grants")


@given(rules, approvals, natures, roles, st.booleans())
def test_every_decision_says_by_which_rule_and_why(
    told: Any, approval: Any, kind: Any, role: str, heartbeat: bool
) -> None:
    decision = decide(*told, approval=approval, kind=kind, role=role, heartbeat=heartbeat)
    assert decision.rule
    assert decision.reason


def test_what_is_granted_and_harmless_is_allowed() -> None:
    assert decide() == Decision("allow", "granted", "'github.send' is granted")
    assert decide(kind=READ, role="checker").effect == "allow"
    assert decide(kind=READ, heartbeat=True).effect == "allow"
    assert decide(grants={"github": ("send",)}).effect == "allow"


def test_what_is_destructive_or_unknown_asks() -> None:
    assert (decide(kind=DESTROY).effect, decide(kind=DESTROY).rule) == ("ask", "destructive")
    assert (decide(kind=UNKNOWN).effect, decide(kind=UNKNOWN).rule) == ("ask", "unlabelled")
    assert decide(Rule(tool="*", effect="allow"), kind=DESTROY).effect == "ask", (
        "no rule unlabels it"
    )


def test_a_rule_is_for_those_it_names() -> None:
    rule = Rule(tool="github.send", agent="fix-*", effect="deny", reason="drafters never send")
    assert decide(rule, role="maker") == Decision(
        "deny", "rule 1 of org.yaml", "drafters never send"
    )
    assert decide(rule, role="lead").effect == "allow"
    assert (
        decide(Rule(tool="github.send", agent="maker", effect="deny"), role="maker").effect
        == "deny"
    )


def test_a_loops_alias_stands_for_its_tool() -> None:
    told = loop().model_copy(update={"harness": Harness(approvals={"send_it": "pause_for_human"})})
    decision = weigh(
        loop=told, organisation=organisation(), by=Principal("triage", "noor", "platform", "lead", "lead"),
        grants=("github",), connector="github", tool="send", traits=WRITE, heartbeat=False,
    )  # fmt: skip
    assert (decision.effect, decision.rule) == ("ask", "harness.approvals.send_it")


HINTS: list[tuple[dict[str, bool | None], Traits]] = [
    ({}, Traits(False, True, True, True, False, False)),
    ({"read_only": True}, Traits(True, False, True, True, True, True)),
    ({"read_only": True, "destructive": True}, Traits(True, False, True, True, True, True)),
    ({"destructive": False}, Traits(False, False, True, True, False, True)),
    ({"read_only": False}, Traits(False, True, True, True, False, True)),
    ({"open_world": False}, Traits(False, True, False, True, False, True)),
    ({"idempotent": True}, Traits(False, True, True, True, True, False)),
]


@pytest.mark.parametrize(("hints", "expected"), HINTS)
def test_without_a_hint_the_worst_is_assumed(hints: Any, expected: Traits) -> None:
    assert traits(ToolSpec("send", "", {}, **hints), None) == expected


@pytest.mark.parametrize("hints", [h for h, _ in HINTS])
def test_the_organisations_label_wins_over_every_hint(hints: Any) -> None:
    label = ToolLabels(destructive=False, external=False, untrusted=False, idempotent=True)
    found = traits(ToolSpec("send", "", {}, **hints), label)
    assert found == Traits(False, False, False, False, True, True)
    assert traits(ToolSpec("send", "", {}, **hints), ToolLabels()).destructive


def change(what: Literal["rule", "label", "loop", "other"]) -> str:
    org = organisation(*([Rule(tool="x", effect="ask")] if what == "rule" else []))
    if what == "label":
        entry = ConnectorEntry(server="github", tools={"send": ToolLabels(read_only=True)})
        org = org.model_copy(update={"connectors": {"github": entry}})
    told = loop("deny" if what == "loop" else None, intent="another" if what == "other" else "")
    return policy_digest(org, told)


def test_an_approval_is_bound_to_the_rules_labels_and_the_loops_own_word() -> None:
    assert len({change("rule"), change("label"), change("loop"), change("other")}) == 4
    assert change("other") == policy_digest(organisation(), loop())
