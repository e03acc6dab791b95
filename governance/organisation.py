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
    Name,
    OneLine,
    RepositoryName,
    ToolName,
    Usd,
)
from governance.parts import Part

BlockName = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
"""The name a Prefect block was saved under."""

Person = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*(@[A-Za-z0-9.-]+)?$", max_length=120)
]
"""An address or a login."""

Glob = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.*?-]+$", max_length=120)]
"""`*` stands for any run of characters, `?` for one."""

UsdPerMillion = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]


class ContractPrice(Part):
    """What a provider really bills us, in USD per million tokens; it goes before the public price list."""

    input: UsdPerMillion
    """Fresh input tokens."""
    output: UsdPerMillion
    """Output tokens, thinking included."""
    cache_read: UsdPerMillion
    """Input tokens read from the provider's cache."""
    cache_write_5m: UsdPerMillion
    """Input tokens written to a cache that lives five minutes."""
    cache_write_1h: UsdPerMillion
    """Input tokens written to a cache that lives one hour."""


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
    price: ContractPrice | None = None
    """The contract's price; without one the public price list's."""


def _unless_reading(fields: dict[str, Any]) -> bool:
    return fields.get("read_only") is not True


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


class Approver(Part):
    """A person who may answer cards."""

    code: BlockName | None = None
    """The Secret block with the person's one-time-code secret; without one the record says `claimed`."""


class Team(Part):
    """Who pays, and who is asked first."""

    approvers: tuple[Person, ...] = ()
    """Who answers its cards; every approver of the organisation when empty."""
    alerts: tuple[BlockName, ...] = ()
    """Where its notices go; the organisation's when empty."""


class Cap(Part):
    """A ceiling on money over a calendar window, UTC."""

    of: Annotated[str, Field(pattern=r"^(organisation|(team|loop):[a-z0-9]+(-[a-z0-9]+)*)$")]
    """`organisation`, `team:<name>` or `loop:<name>`."""
    per: Literal["day", "week", "month"]
    """The window, which starts at 00:00 UTC; a week starts on Monday."""
    usd: Usd
    """What all effects in the window may cost together."""


class SandboxEntry(Part):
    """How workspaces are fenced."""

    kind: Literal["auto", "docker", "bubblewrap"] = "auto"
    """`auto` takes Docker where an engine answers, else bubblewrap."""
    runtime: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=60)] | None = None
    """The engine's runtime, such as `runsc` (gVisor); the engine's own default without one."""
    build_network: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=60)] = (
        "bridge"
    )
    """The engine's network a workspace's setup may use; no other command has any."""


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
    teams: dict[Name, Team] = Field(default_factory=dict)
    """By the name loops use."""
    approvers: dict[Person, Approver] = Field(default_factory=dict)
    """Who may answer cards."""
    alerts: tuple[BlockName, ...] = ()
    """Notification blocks for what concerns everybody."""
    budgets: tuple[Cap, ...] = ()
    """Ceilings over time; the limits of one run stand in its loop."""
    limits: Harness = Harness()
    """What a loop's `harness` starts from, field by field."""
    sandbox: SandboxEntry = SandboxEntry()
    """How workspaces are fenced."""

    def labels(self, tool: str) -> ToolLabels | None:
        """The labels of `connector.tool`, or None when nobody has labelled it."""
        connector, _, bare = tool.partition(".")
        entry = self.connectors.get(connector)
        return entry.tools.get(bare) if entry else None

    @model_validator(mode="after")
    def _defaults_only(self) -> "Organisation":
        if self.limits.approvals:
            raise ValueError("limits.approvals: write it as rules here; approvals belong in a loop")
        return self
