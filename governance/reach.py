"""What can a loop touch, agent by agent, and what would happen if it tried?"""

from dataclasses import asdict, dataclass

from governance.conversation import ToolSpec
from governance.definition import Loop
from governance.effects import Principal
from governance.fields import Grants
from governance.organisation import Organisation, ToolLabels
from governance.parts import Json
from governance.policy import Decision, traits, weigh

LOOP_AGENT = "loop"
"""Who makes the cheap look and the deliveries: the loop itself."""


@dataclass(frozen=True)
class ToolReach:
    """One tool an agent may call, or `connector.*` for those nobody has labelled."""

    tool: str
    effect: str
    """`allow`, `ask` or `deny`, while a person can be waited for."""
    rule: str
    """The rule that says so, as decisions name it."""
    reason: str
    labels: ToolLabels | None


@dataclass(frozen=True)
class AgentReach:
    """One agent: its model, its tools."""

    agent: str
    role: str
    model: str | None
    """The name in org.yaml; None for the loop itself, which asks no model."""
    tools: tuple[ToolReach, ...]


@dataclass(frozen=True)
class Reach:
    """Everything a loop can touch."""

    loop: str
    agents: tuple[AgentReach, ...]
    connectors: tuple[str, ...]
    models: tuple[str, ...]
    repository: str | None
    image: str | None

    @property
    def writes(self) -> tuple[str, ...]:
        """Tools that change something and are not denied to everybody."""
        return tuple(
            sorted(
                {
                    t.tool
                    for a in self.agents
                    for t in a.tools
                    if t.effect != "deny" and not (t.labels and t.labels.read_only)
                }
            )
        )

    def as_json(self) -> Json:
        """For `--json` outputs."""
        agents = [
            {
                **asdict(a),
                "tools": [
                    {**vars(t), "labels": t.labels and t.labels.model_dump(mode="json")}
                    for t in a.tools
                ],
            }
            for a in self.agents
        ]
        return {**asdict(self), "agents": agents, "writes": list(self.writes)}


def reach(loop: Loop, organisation: Organisation) -> Reach:
    """The reach of a loop whose names are resolved."""
    agents = [_agent(loop, organisation, "lead", "lead", loop.model, loop.mcp_servers)]
    agents += [
        _agent(
            loop, organisation, a.name, a.role or "delegate", a.model or loop.model, a.mcp_servers
        )
        for a in loop.subagents
    ]
    own = _own(loop, organisation)
    if own.tools:
        agents.append(own)
    return Reach(
        loop=loop.name,
        agents=tuple(agents),
        connectors=tuple(sorted({t.tool.partition(".")[0] for a in agents for t in a.tools})),
        models=tuple(sorted({a.model for a in agents if a.model})),
        repository=loop.workspace.repository if loop.workspace else None,
        image=loop.workspace.image if loop.workspace else None,
    )


def _agent(
    loop: Loop, organisation: Organisation, name: str, role: str, model: str, grants: Grants
) -> AgentReach:
    by = Principal(loop=loop.name, owner=loop.owner, team=loop.team, agent=name, role=role)
    tools: list[ToolReach] = []
    for connector in grants:
        entry = organisation.connectors[connector]
        whole = not isinstance(grants, dict)
        for tool in entry.tools if whole else grants[connector]:
            tools.append(_tool(loop, organisation, by, grants, connector, tool))
        if whole:
            tools.append(_tool(loop, organisation, by, grants, connector, "*"))
    return AgentReach(name, role, model, tuple(tools))


def _tool(
    loop: Loop, organisation: Organisation, by: Principal, grants: Grants, connector: str, tool: str
) -> ToolReach:
    labels = organisation.labels(f"{connector}.{tool}")
    decision: Decision = weigh(
        loop=loop,
        organisation=organisation,
        by=by,
        grants=grants,
        connector=connector,
        tool=tool,
        traits=traits(ToolSpec(tool, "", {}), labels),
        heartbeat=False,
    )
    return ToolReach(f"{connector}.{tool}", decision.effect, decision.rule, decision.reason, labels)


def _own(loop: Loop, organisation: Organisation) -> AgentReach:
    by = Principal(loop.name, loop.owner, loop.team, LOOP_AGENT, LOOP_AGENT)
    named = ([loop.find.tool] if loop.find else []) + [step.tool for step in loop.deliver]
    tools = tuple(_tool(loop, organisation, by, loop.mcp_servers, *_split(tool)) for tool in named)
    return AgentReach(LOOP_AGENT, LOOP_AGENT, None, tools)


def _split(tool: str) -> tuple[str, str]:
    connector, _, bare = tool.partition(".")
    return connector, bare
