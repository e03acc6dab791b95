"""Does every name in a loop stand for something the organisation has, and is it granted?"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from governance.definition import Loop
from governance.fields import Grants
from governance.organisation import Organisation
from governance.policy import granted
from governance.problems import Path, suggest

Finding = tuple[Path, str]
"""Where in the loop, and what about it."""


@dataclass(frozen=True)
class Known:
    """Everything a loop may name."""

    organisation: Organisation
    instructions: Collection[str]
    skills: Collection[str]
    priced: Callable[[str], bool]
    """Whether the public price list knows a model, by the provider's id."""
    boxes: bool
    """Whether somebody has declared what a sandbox costs."""


def plain(ref: str) -> str:
    """`./triage.md@v4`, `triage.md@v4` and `triage@v4` mean `triage@v4`."""
    name, _, version = ref.removeprefix("./").rpartition("@")
    return f"{name.removesuffix('.md')}@{version}"


def unresolved(loop: Loop, known: Known) -> Iterator[Finding]:
    """Every name that stands for nothing, is not granted, or contradicts the organisation."""
    yield from _models(loop, known)
    yield from _texts(loop, known)
    yield from _grants(loop, known.organisation)
    yield from _proposed(loop, known.organisation)
    yield from _approvals(loop, known.organisation)
    yield from _places(loop, known.organisation)


def doubts(loop: Loop, organisation: Organisation) -> Iterator[Finding]:
    """What is allowed, and probably not meant."""
    maker, checker = loop.agent("maker"), loop.agent("checker")
    if maker and checker and maker.instructions and checker.instructions:
        same_text = plain(maker.instructions) == plain(checker.instructions)
        if same_text and (maker.model or loop.model) == (checker.model or loop.model):
            yield ("subagents",), "maker and checker share model and instructions: they err alike"
    if loop.owner == "unowned":
        yield ("owner",), "nobody answers for this loop; name a person"
    if loop.team == "unassigned":
        yield ("team",), "nobody pays for this loop; name a team"
    if not (loop.harness.max_tokens_per_run or loop.harness.max_cost_usd_per_run):
        yield (
            ("harness",),
            "a run may spend without end: set max_tokens_per_run or max_cost_usd_per_run",
        )
    yield from _writing_readers(loop, organisation)


def _writing_readers(loop: Loop, organisation: Organisation) -> Iterator[Finding]:
    for n, agent in enumerate(loop.subagents):
        if agent.role not in ("checker", "explorer"):
            continue
        for path, tool in _named_tools(agent.mcp_servers, ("subagents", n, "mcp_servers")):
            labels = organisation.labels(tool)
            if labels and not labels.read_only:
                yield path, f"a {agent.role} cannot write, so {tool!r} is never allowed to it"


def _models(loop: Loop, known: Known) -> Iterator[Finding]:
    models, limit = known.organisation.models, loop.harness.max_output_tokens
    named: list[tuple[Path, str]] = [(("model",), loop.model)]
    named += [(("subagents", n, "model"), a.model) for n, a in enumerate(loop.subagents) if a.model]
    for path, name in named:
        entry = models.get(name)
        if entry is None:
            yield path, f"model {name!r} is not in org.yaml" + suggest(name, models)
            continue
        if limit > entry.max_output_tokens:
            yield (
                ("harness", "max_output_tokens"),
                f"{limit:,} is more than model {name!r} can answer ({entry.max_output_tokens:,} tokens)",
            )
        if loop.harness.max_cost_usd_per_run and not known.priced(entry.model):
            yield (
                path,
                (
                    f"model {name!r} has no price, and this loop has a cost cap; "
                    "name a priced model or remove harness.max_cost_usd_per_run"
                ),
            )


def _texts(loop: Loop, known: Known) -> Iterator[Finding]:
    agents: list[tuple[Path, str | None, tuple[str, ...]]] = [((), loop.instructions, loop.skills)]
    agents += [(("subagents", n), a.instructions, a.skills) for n, a in enumerate(loop.subagents)]
    for path, instructions, skills in agents:
        if instructions and plain(instructions) not in known.instructions:
            hint = suggest(plain(instructions), known.instructions)
            yield (*path, "instructions"), f"{instructions!r} is not under instructions/" + hint
        for n, skill in enumerate(skills):
            if plain(skill) not in known.skills:
                hint = suggest(plain(skill), known.skills)
                yield (*path, "skills", n), f"{skill!r} is not under skills/" + hint


def _grants(loop: Loop, organisation: Organisation) -> Iterator[Finding]:
    yield from _granted(loop.mcp_servers, ("mcp_servers",), organisation)
    for n, agent in enumerate(loop.subagents):
        yield from _granted(agent.mcp_servers, ("subagents", n, "mcp_servers"), organisation)


def _granted(grants: Grants, path: Path, organisation: Organisation) -> Iterator[Finding]:
    for n, name in enumerate(grants):
        if name not in organisation.connectors:
            place = (*path, name) if isinstance(grants, dict) else (*path, n)
            hint = suggest(name, organisation.connectors)
            yield place, f"connector {name!r} is not in org.yaml" + hint
    for place, tool in _named_tools(grants, path):
        if tool.partition(".")[0] in organisation.connectors:
            yield from _tool(tool, place, organisation)


def _named_tools(grants: Grants, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(grants, dict):
        for connector, tools in grants.items():
            for n, tool in enumerate(tools):
                yield (*path, connector, n), f"{connector}.{tool}"


def _tool(tool: str, path: Path, organisation: Organisation) -> Iterator[Finding]:
    if organisation.labels(tool) is None:
        labelled = [f"{c}.{t}" for c, e in organisation.connectors.items() for t in e.tools]
        hint = suggest(tool, labelled, "labelled tools")
        yield path, f"tool {tool!r} is not labelled in org.yaml" + hint


def _is_granted(tool: str, grants: Iterable[Grants]) -> bool:
    connector, _, bare = tool.partition(".")
    return any(granted(g, connector, bare) for g in grants)


def _proposed(loop: Loop, organisation: Organisation) -> Iterator[Finding]:
    named: list[tuple[Path, str]] = [(("find", "tool"), loop.find.tool)] if loop.find else []
    named += [(("deliver", n, "tool"), step.tool) for n, step in enumerate(loop.deliver)]
    for path, tool in named:
        missing = tuple(_tool(tool, path, organisation))
        yield from missing
        if not missing and not _is_granted(tool, (loop.mcp_servers,)):
            yield path, f"tool {tool!r} is not among the loop's own grants (mcp_servers)"
    labels = organisation.labels(loop.find.tool) if loop.find else None
    if labels and not labels.read_only:
        yield ("find", "tool"), "the cheap look must be a tool labelled read_only in org.yaml"


def _approvals(loop: Loop, organisation: Organisation) -> Iterator[Finding]:
    everyone = (loop.mcp_servers, *(a.mcp_servers for a in loop.subagents))
    for name, effect in loop.harness.approvals.items():
        path: Path = ("harness", "approvals", name)
        tool = organisation.aliases.get(name, name)
        if "." not in tool:
            hint = suggest(name, organisation.aliases, "aliases")
            yield path, f"{name!r} is neither a tool nor an alias of org.yaml" + hint
            continue
        missing = tuple(_tool(tool, path, organisation))
        yield from missing
        if not missing and not _is_granted(tool, everyone):
            yield path, f"tool {tool!r} is granted to no agent of this loop"
        elif effect == "allow" and (why := _tighter(tool, organisation)):
            yield path, f"a loop cannot loosen what the organisation says: {why}"


def _tighter(tool: str, organisation: Organisation) -> str | None:
    for n, rule in enumerate(organisation.rules, 1):
        if rule.effect != "allow" and fnmatchcase(tool, rule.tool):
            return f"rule {n} of org.yaml says {rule.effect} for {rule.tool!r}"
    labels = organisation.labels(tool)
    return f"{tool!r} is labelled destructive" if labels and labels.destructive else None


def _places(loop: Loop, organisation: Organisation) -> Iterator[Finding]:
    if loop.team != "unassigned" and loop.team not in organisation.teams:
        yield (
            ("team",),
            f"team {loop.team!r} is not in org.yaml" + suggest(loop.team, organisation.teams),
        )
    if loop.workspace is None:
        return
    name, image = loop.workspace.repository, loop.workspace.image
    if name not in organisation.repositories:
        hint = suggest(name, organisation.repositories)
        yield ("workspace", "repository"), f"repository {name!r} is not in org.yaml" + hint
    if image not in organisation.images:
        hint = suggest(image, organisation.images)
        yield ("workspace", "image"), f"image {image!r} is not in org.yaml" + hint
