"""Who sits where in a loop: with which model, words, grants and skills?"""

from collections.abc import Mapping
from dataclasses import dataclass

from governance.briefs import SkillLine, system_prompt
from governance.conversation import ToolSpec
from governance.definition import Grants, Loop, Subagent
from governance.effects import Principal
from governance.pinned import Pinned
from governance.resolve import plain


@dataclass(frozen=True)
class Seat:
    """One agent as it will be run."""

    agent: str
    role: str
    model: str
    system: str
    grants: Grants
    skills: Mapping[str, str]
    """Body by skill name, disclosed on demand."""
    works: bool
    """Whether it has the workspace's tools."""
    delegates: tuple[Subagent, ...] = ()
    """Sub-agents it may call as tools."""

    def principal(self, loop: Loop) -> Principal:
        """Whom this agent's effects belong to."""
        return Principal(loop.name, loop.owner, loop.team, self.agent, self.role)


def lead_seat(pinned: Pinned, *, heartbeat: bool) -> Seat:
    """The lead. In a heartbeat it only reads, so it has no delegates there."""
    loop = pinned.loop
    skills = _skills(pinned, loop.skills)
    return Seat(
        agent="lead",
        role="lead",
        model=loop.model,
        system=system_prompt(
            loop,
            role="lead",
            agent="lead",
            instructions=pinned.told(loop.instructions),
            skills=_lines(pinned, loop.skills),
        ),
        grants=loop.mcp_servers,
        skills=skills,
        works=False,
        delegates=() if heartbeat else loop.delegates,
    )


def subagent_seat(pinned: Pinned, agent: Subagent) -> Seat:
    """A sub-agent: its own words, grants and context; only a maker has the workspace."""
    loop = pinned.loop
    role = agent.role or "delegate"
    return Seat(
        agent=agent.name,
        role=role,
        model=agent.model or loop.model,
        system=system_prompt(
            loop,
            role=role,
            agent=agent.name,
            instructions=pinned.told(agent.instructions) if agent.instructions else None,
            skills=_lines(pinned, agent.skills),
        ),
        grants=agent.mcp_servers,
        skills=_skills(pinned, agent.skills),
        works=role == "maker",
    )


def loop_principal(loop: Loop, agent: str = "loop") -> Principal:
    """The loop itself, for what it does without any agent: the look, verification, delivery."""
    return Principal(loop.name, loop.owner, loop.team, agent, agent)


def _lines(pinned: Pinned, refs: tuple[str, ...]) -> tuple[SkillLine, ...]:
    return tuple(SkillLine(_name(ref), pinned.skills[plain(ref)].description) for ref in refs)


def _skills(pinned: Pinned, refs: tuple[str, ...]) -> dict[str, str]:
    return {_name(ref): pinned.skills[plain(ref)].body for ref in refs}


def _name(ref: str) -> str:
    return plain(ref).partition("@")[0]


def house_tools(seat: Seat) -> tuple[ToolSpec, ...]:
    """The tools a seat has from us: reading skills, its workspace, and its delegates."""
    text = {"type": "string"}
    tools: list[ToolSpec] = []
    if seat.skills:
        tools.append(_tool("skill__read", "Read one of your skills in full.", {"name": text}))
    if seat.works:
        tools += [
            _tool("workspace__list", "List the files of the workspace.", {}),
            _tool("workspace__read", "Read a text file of the workspace.", {"path": text}),
            _tool(
                "workspace__write",
                "Create or replace a text file of the workspace.",
                {"path": text, "content": text},
            ),
            _tool(
                "workspace__edit",
                "Replace the one place where `old` stands in a file by `new`.",
                {"path": text, "old": text, "new": text},
            ),
            _tool(
                "workspace__run",
                "Run a shell command in the workspace. There is no network, and nothing keeps running.",
                {"command": text},
            ),
        ]
    tools += [
        _tool(
            d.name, f"Hand one task to {d.name}; it knows only what the task says.", {"task": text}
        )
        for d in seat.delegates
    ]
    return tuple(tools)


def _tool(name: str, description: str, properties: dict[str, dict[str, str]]) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return ToolSpec(name, description, schema)
