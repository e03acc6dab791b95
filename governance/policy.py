"""May this agent make this call: allow, ask a person, or deny?

Default deny; deny beats ask beats allow; the organisation's word cannot be loosened below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from governance.conversation import ToolSpec
from governance.definition import Grants, Loop
from governance.effects import Principal
from governance.organisation import Organisation, Rule, ToolLabels
from governance.parts import Json, digest

Effect = Literal["allow", "ask", "deny"]
STRENGTH: dict[Effect, int] = {"allow": 0, "ask": 1, "deny": 2}


@dataclass(frozen=True)
class Decision:
    """A verdict on one call: what happens, by which rule, and why, in words for a person."""

    effect: Effect
    rule: str
    reason: str


@dataclass(frozen=True)
class Traits:
    """What a tool is, after the organisation's label and the server's own hints were weighed."""

    read_only: bool
    destructive: bool
    external: bool
    untrusted: bool
    idempotent: bool
    known: bool
    """Labelled by the organisation or annotated by the server; otherwise it is taken for the worst."""


def traits(spec: ToolSpec, label: ToolLabels | None) -> Traits:
    """The organisation's label wins; without one a hint may stand; without a hint the worst is assumed.

    Source: docs/decisions/0014-labels-over-hints.md
    """
    if label is not None:
        return Traits(
            read_only=label.read_only,
            destructive=label.destructive,
            external=label.external,
            untrusted=label.untrusted,
            idempotent=label.idempotent,
            known=True,
        )
    annotated = any(h is not None for h in (spec.read_only, spec.destructive, spec.open_world))
    read_only = spec.read_only is True
    return Traits(
        read_only=read_only,
        destructive=not read_only and spec.destructive is not False,
        external=spec.open_world is not False,
        untrusted=True,
        idempotent=spec.idempotent is True or read_only,
        known=annotated,
    )


def may_read_only(role: str, *, heartbeat: bool) -> bool:
    """Whether this role may only ever read: what it decides must not be what it changed."""
    return heartbeat or role in ("checker", "explorer", "verifier")


def granted(grants: Grants, connector: str, tool: str) -> bool:
    """Whether the grants name this tool; a connector in a list grants all its tools."""
    if isinstance(grants, dict):
        return tool in grants.get(connector, ())
    return connector in grants


def grants_of(loop: Loop, agent: str) -> Grants:
    """What an agent of this loop may reach; nothing when the loop has no such agent."""
    if agent in ("lead", "loop"):
        return loop.mcp_servers
    return next((a.mcp_servers for a in loop.subagents if a.name == agent), ())


def tighter(*decisions: Decision) -> Decision:
    """The strongest of several decisions on one call: deny beats ask beats allow; the first of equals."""
    return max(decisions, key=lambda d: STRENGTH[d.effect])


def weigh(
    *, loop: Loop, organisation: Organisation, by: Principal, grants: Grants, connector: str, tool: str,
    traits: Traits, heartbeat: bool,
) -> Decision:  # fmt: skip
    """The decision on one call. A heartbeat only reads, and it never waits: there `ask` is `deny`."""
    name = f"{connector}.{tool}"
    if not granted(grants, connector, tool):
        return Decision(
            "deny", "grants", f"tool {name!r} is not among the grants of agent {by.agent!r}"
        )
    if may_read_only(by.role, heartbeat=heartbeat) and not traits.read_only:
        reader = "heartbeat" if heartbeat else by.role
        return Decision(
            "deny", f"role {reader}", f"a {reader} cannot write, and {name!r} is not a read"
        )
    decision = tighter(
        *_organisation(organisation.rules, name, by),
        *_loop(loop, organisation, name),
        *_nature(name, traits),
    )
    if decision.effect == "ask" and heartbeat:
        return Decision(
            "deny", decision.rule, f"{decision.reason}; a heartbeat does not wait for people"
        )
    return decision


def _organisation(rules: Sequence[Rule], name: str, by: Principal) -> tuple[Decision, ...]:
    return tuple(
        Decision(r.effect, f"rule {n} of org.yaml", r.reason or f"{r.tool!r} is {r.effect}")
        for n, r in enumerate(rules, 1)
        if fnmatchcase(name, r.tool)
        and (fnmatchcase(by.agent, r.agent) or fnmatchcase(by.role, r.agent))
    )


def _loop(loop: Loop, organisation: Organisation, name: str) -> tuple[Decision, ...]:
    effects: dict[str, Effect] = {"pause_for_human": "ask", "allow": "allow", "deny": "deny"}
    return tuple(
        Decision(effects[what], f"harness.approvals.{alias}", f"the loop says {what} for {name!r}")
        for alias, what in loop.harness.approvals.items()
        if organisation.aliases.get(alias, alias) == name
    )


def _nature(name: str, traits: Traits) -> tuple[Decision, ...]:
    if not traits.known:
        return (Decision("ask", "unlabelled", f"{name!r} has neither a label nor a hint"),)
    if traits.destructive:
        return (Decision("ask", "destructive", f"{name!r} is labelled destructive"),)
    return (Decision("allow", "granted", f"{name!r} is granted"),)


def policy_digest(organisation: Organisation, loop: Loop) -> str:
    """Changes when a rule that could apply to this loop does; an approval is bound to it."""
    return digest(
        [
            [r.model_dump(mode="json") for r in organisation.rules],
            {c: {t: _rights(x) for t, x in v.tools.items()} for c, v in organisation.connectors.items()},
            loop.harness.approvals,
        ]
    )  # fmt: skip


def _rights(labels: ToolLabels) -> Json:
    """What labels say about permission; how a lost call is looked up and what a call costs is no part of that."""
    return labels.model_dump(mode="json", exclude={"probe", "price_usd"})
