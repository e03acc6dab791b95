"""What may org.yaml say?

What the organisation has and allows, once for all loops: models, connectors with their tools' labels, repositories,
images, rules, people. Names of blocks point to credentials; no credential stands here.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from governance.definition import Harness
from governance.fields import (
    AliasName,
    BareTool,
    DottedName,
    Duration,
    Name,
    OneLine,
    RepositoryName,
    ToolName,
)
from governance.parts import Part

BlockName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
"""The name a Prefect block was saved under."""

NotificationBlock = Annotated[
    str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*$", max_length=120)
]
"""A notification block's document, as `custom-webhook/ops`."""

FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", max_length=120)]
"""A field of an answer, and with dots a field within it."""

Glob = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*?-]+$", max_length=120)]
"""`*` stands for any run of characters, `?` for one."""


class ModelEntry(Part):
    """A model that loops may name."""

    provider: BlockName
    """The ModelProvider block that holds its address and key."""
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$", max_length=120)] = ""
    """The provider's own id; the entry's name by default."""
    context_tokens: Annotated[int, Field(gt=0, le=100_000_000)] = 200_000
    """What fits in one request, answer included."""
    max_output_tokens: Annotated[int, Field(gt=0, le=1_000_000)] = 64_000
    """What one answer may be at most."""


def _unless_reading(fields: dict[str, Any]) -> bool:
    return fields.get("read_only") is not True


class Probe(Part):
    """What shows whether a call has happened whose answer was lost.

    `{name}` in a text stands for what the call itself said as `name`; what it did not say is left out.
    """

    tool: ToolName
    """A tool labelled `read_only`, asked once when the call is in doubt; its answer stands on the card."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What it is called with."""
    match: dict[FieldPath, Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=dict
    )
    """Fields (`head`, `head.ref`) of one element of its answer, and what they must be for it to be the call's."""


class ToolLabels(Part):
    """What a tool is, said once for the whole organisation.

    A tool that does more than read counts as destructive and external until somebody says here that it is not.
    """

    read_only: bool = False
    """It changes nothing."""
    destructive: bool = Field(default_factory=_unless_reading)
    """It may change or remove what cannot be brought back. True unless `read_only`, or unless said here."""
    external: bool = Field(default_factory=_unless_reading)
    """What it is given may leave the organisation. True unless `read_only`, or unless said here."""
    untrusted: bool = True
    """Its output may hold text that outsiders wrote."""
    directory: bool = False
    """Its output may ground a destination: it lists people or places that are ours."""
    destinations: tuple[Annotated[str, Field(min_length=1, max_length=60)], ...] = ()
    """The arguments that say who receives."""
    idempotent: bool = False
    """The far side does a repeated call with the same key once."""
    probe: Probe | None = None
    """What a person is shown when a call is in doubt."""
    price_usd: Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=12)] | None = None
    """What the far side charges for a call, answered or refused; 0 when it charges nothing. Not declared without it."""

    @model_validator(mode="after")
    def _no_contradiction(self) -> "ToolLabels":
        if self.read_only and self.destructive:
            raise ValueError("a tool cannot be read_only and destructive")
        return self


class ConnectorEntry(Part):
    """A connector that loops may name, and the tools of it that loops may name."""

    server: BlockName
    """The McpServer block that holds its address and credential."""
    tools: dict[BareTool, ToolLabels] = Field(default_factory=dict)
    """Labels by tool. A tool that is not listed cannot be named by a loop, and asks when an agent calls it."""


class RepositoryEntry(Part):
    """A repository that loops may work on."""

    repository: BlockName
    """The Repository block that holds its address and credential."""


class ImageEntry(Part):
    """An image that workspaces may be built on."""

    docker: Annotated[str, Field(pattern=r"^[a-z0-9][A-Za-z0-9._:/@-]*$", max_length=300)]
    """As the engine names it, with a tag or, better, a digest."""


class Rule(Part):
    """What happens to a tool call. Deny beats ask beats allow; no rule grants a tool or unlabels it."""

    tool: Glob
    """Which tools, as `connector.tool` with globs."""
    agent: Glob = "*"
    """Which agents, by name or role, with globs."""
    effect: Literal["allow", "ask", "deny"]
    """What becomes of the call."""
    reason: OneLine = ""
    """What the agent, the approver and the trace are told."""


class SandboxEntry(Part):
    """How workspaces are fenced."""

    kind: Literal["auto", "docker", "bubblewrap"] = "auto"
    """`auto` takes Docker where an engine answers, else bubblewrap."""
    runtime: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)] | None = None
    """The engine's runtime, such as `runsc` (gVisor); the engine's own default without one."""
    build_network: Literal["bridge", "host", "none"] = "bridge"
    """The engine's network a workspace's setup may use; no other command has any. `host` shows it the host's loopback."""


class RetentionEntry(Part):
    """What is forgotten by itself, and when. What happened, who approved it and what it cost stays for ever."""

    content: Duration | None = None
    """How long what was said and made in a run stays after its end: briefs, answers, arguments, results, diffs, workspaces. For ever without it."""


def _named(models: dict[str, ModelEntry]) -> dict[str, ModelEntry]:
    return {k: m if m.model else m.model_copy(update={"model": k}) for k, m in models.items()}


class Organisation(Part):
    """What the organisation has and allows."""

    name: OneLine
    """What it is called in reports."""
    models: Annotated[dict[DottedName, ModelEntry], AfterValidator(_named)]
    """By the name loops use."""
    connectors: dict[Name, ConnectorEntry] = Field(default_factory=dict)
    """By the name loops use."""
    aliases: dict[AliasName, ToolName] = Field(default_factory=dict)
    """Short names of tools for `harness.approvals`."""
    repositories: dict[RepositoryName, RepositoryEntry] = Field(default_factory=dict)
    """By the name loops use."""
    images: dict[DottedName, ImageEntry] = Field(default_factory=dict)
    """By the name loops use."""
    rules: tuple[Rule, ...] = ()
    """What no loop can loosen."""
    teams: tuple[Name, ...] = ()
    """Who may be named as the one who pays."""
    alerts: tuple[NotificationBlock, ...] = ()
    """Prefect notification blocks that are told of every waiting card and every finished run."""
    limits: Harness = Harness()
    """What a loop's `harness` starts from, field by field."""
    sandbox: SandboxEntry = SandboxEntry()
    """How workspaces are fenced."""
    retention: RetentionEntry = RetentionEntry()
    """What is forgotten by itself."""

    def labels(self, tool: str) -> ToolLabels | None:
        """The labels of `connector.tool`, or None when nobody has labelled it."""
        connector, _, bare = tool.partition(".")
        entry = self.connectors.get(connector)
        return entry.tools.get(bare) if entry else None

    def price_of(self, tool: str) -> Decimal | None:
        """USD that a call of `connector.tool` costs, or None when nobody has declared it."""
        labels = self.labels(tool)
        return labels.price_usd if labels else None

    @model_validator(mode="after")
    def _defaults_only(self) -> "Organisation":
        if self.limits.approvals:
            raise ValueError("limits.approvals: write it as rules here; approvals belong in a loop")
        return self
