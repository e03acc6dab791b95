"""What may a loop file say?

One model, spelled flat or one level down (`agent:`, as published). Only shape is checked; `registry` knows names.
"""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from governance.fields import (
    Command,
    DottedName,
    Duration,
    GitRef,
    Grants,
    Name,
    OneLine,
    RepositoryName,
    ToolName,
    ToolOrAlias,
    Usd,
    Versioned,
)
from governance.parts import Part
from governance.steering import ProtectGlob
from governance.triggers import Breaker, Trigger

Count = Annotated[int, Field(gt=0, le=10**12)]


class Find(Part):
    """The cheap look: one granted read-only tool, called before any model is."""

    tool: ToolName
    """The tool that lists what there is to do."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What it is called with."""
    each: Name
    """What one element of its answer is called in briefs and reports."""
    max_items: Annotated[int, Field(gt=0, le=1000)] = 20
    """Findings one heartbeat may dispatch."""


class Subagent(Part):
    """An agent with its own context and grants."""

    name: Name
    """How it is called in briefs, traces and rules."""
    role: Literal["maker", "checker", "explorer"] | None = None
    """What it is in a loop with a goal; without a role it is a delegate the lead may call as a tool."""
    instructions: Versioned | None = None
    """What it is told; without any, the role's own text."""
    mcp_servers: Grants = ()
    """What it may reach; nothing by default."""
    model: DottedName | None = None
    """Its model; the loop's by default."""
    skills: tuple[Versioned, ...] = ()
    """What it may read up on."""


class Workspace(Part):
    """The files an agent works on, and what fences it."""

    repository: RepositoryName
    """A repository named in registry/org.yaml."""
    ref: GitRef = "main"
    """The branch, tag or commit work starts from and is delivered to."""
    image: DottedName
    """An image named in registry/org.yaml."""
    setup: Annotated[str, Field(max_length=4000)] = ""
    """Run once per digest with the package index reachable; everything it installs is in the image."""
    setup_minutes: Annotated[int, Field(gt=0, le=120)] = 15
    """After so long the setup is stopped and the environment is broken."""
    max_mb: Annotated[int, Field(gt=0, le=100_000)] = 2000
    """Everything writable fits in this."""
    memory_mb: Annotated[int, Field(ge=64, le=1_000_000)] = 1024
    """What its processes may use at once."""


class Goal(Part):
    """What must be true before a result counts."""

    verify: Command
    """The command whose exit code 0 means done, run in a clean room by someone other than the maker."""
    verify_minutes: Annotated[int, Field(gt=0, le=240)] = 10
    """After so long the verifier is stopped and has not passed."""
    protect: tuple[ProtectGlob, ...] = ()
    """Globs of files whose change is never delivered; those that steer a verifier are, unless freed: `!tox.ini`."""
    max_rounds: Annotated[int, Field(gt=0, le=20)] = 3
    """Tries a maker has for one item."""
    broken_exit_codes: tuple[Annotated[int, Field(ge=1, le=255)], ...] = (2, 3, 4, 5, 126, 127)
    """Exit codes on the untouched base that mean a broken environment, not a finding: pytest's and the shell's."""


class OnNoApprover(Part):
    """What becomes of a card that nobody answers."""

    after: Duration
    """How long it waits."""
    then: Literal["reject"] = "reject"
    """What it then counts as; silence never means yes."""


class Harness(Part):
    """The limits of an item and of a run."""

    max_steps: Annotated[int, Field(gt=0, le=10_000)] = 60
    """Model calls one item may make, over all its agents."""
    max_steps_per_run: Count | None = None
    """Model calls one run may make, over all its items."""
    max_tokens_per_run: Count | None = None
    """Input plus output tokens, cache reads included."""
    max_cost_usd_per_run: Usd | None = None
    """As computed when it is spent. With a cap, a model without a price is refused."""
    max_minutes: Annotated[int, Field(gt=0, le=100_000)] = 90
    """Awake time of one item; waiting does not count."""
    max_wait: Duration = timedelta(days=7)
    """How long one item may wait for budgets and far sides, in all; what comes later than that is not waited for."""
    wrap_up_at: Annotated[FiniteFloat, Field(gt=0, le=1)] = 0.8
    """Share of a cap after which agents are told what is left, and to wrap up; 1 for never."""
    stall_after: Annotated[int, Field(gt=1, le=100)] = 3
    """Repetitions without progress before it counts as stalled."""
    max_output_tokens: Annotated[int, Field(gt=0, le=128_000)] = 8192
    """What one answer may be at most; the worst case is reserved from it."""
    approvals: dict[ToolOrAlias, Literal["pause_for_human", "allow", "deny"]] = Field(
        default_factory=dict
    )
    """By granted tool, or by an alias of org.yaml; it may tighten the organisation's rules, never loosen them."""
    on_no_approver: OnNoApprover | None = None
    """Without it a card waits, however long."""
    max_lives: Annotated[int, Field(gt=0, le=100)] = 10
    """Processes that may take up one item, one after the other."""
    breaker: Breaker | None = Breaker()
    """When the loop is paused for spending without a result; `null` for never."""


class Range(Part):
    """A belief with its error bars."""

    low: Annotated[FiniteFloat, Field(ge=0)]
    """As little as it may well be."""
    base: Annotated[FiniteFloat, Field(ge=0)]
    """The best guess."""
    high: Annotated[FiniteFloat, Field(ge=0)]
    """As much as it may well be."""

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low <= self.base <= self.high:
            raise ValueError("low, base and high must not fall")
        return self


class Value(Part):
    """What an accepted result is believed to be worth."""

    minutes_saved: Range
    """A person's time that one accepted result saves."""
    hourly_rate_usd: Usd
    """What an hour of that person costs."""
    escaped_defect_usd: Usd | None = None
    """What a wrong result that nobody caught costs; what a checker is weighed against."""


class Deliver(Part):
    """One step of the delivery, proposed by the loop itself."""

    tool: ToolName
    """A tool among the loop's own grants."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Beside what the tool's schema asks for by a name we know (title, body, head, base, owner, repo, number)."""


def _deliver(value: Any) -> Any:
    return {"tool": value} if isinstance(value, str) else value


class Loop(Part):
    """A registered definition of unattended work."""

    name: Name
    """Also the name of its file and of its deployments."""
    intent: OneLine = ""
    """In one sentence, what must be true because this loop runs."""
    owner: OneLine = "unowned"
    """Who answers for it."""
    team: Name = "unassigned"
    """Who pays for it."""
    model: DottedName
    """A model named in registry/org.yaml; keys live in blocks."""
    instructions: Versioned
    """What the lead is told."""
    skills: tuple[Versioned, ...] = ()
    """What the lead may read up on."""
    mcp_servers: Grants = ()
    """What the lead may reach."""
    find: Find | None = None
    """The cheap look before any model is called."""
    subagents: tuple[Subagent, ...] = ()
    """Agents with their own context and grants."""
    workspace: Workspace | None = None
    """The files its maker works on."""
    goal: Goal | None = None
    """What must be true before a result counts; needs a workspace, a maker and a checker."""
    deliver: tuple[
        Annotated[Deliver, BeforeValidator(_deliver, json_schema_input_type=ToolName | Deliver)],
        ...,
    ] = ()
    """Each proposed by the loop itself, in order, once there is evidence."""
    harness: Harness = Harness()
    """Its limits and its approvals."""
    trigger: Trigger = Trigger()
    """When it fires."""
    value: Value | None = None
    """What an accepted result is believed to be worth; what the economics report starts from."""

    def agent(self, role: str) -> Subagent | None:
        """The sub-agent with this role, if the loop names one."""
        return next((a for a in self.subagents if a.role == role), None)

    @property
    def delegates(self) -> tuple[Subagent, ...]:
        """Sub-agents the lead may call as tools: those without a role, and explorers, who only read."""
        return tuple(a for a in self.subagents if a.role in (None, "explorer"))

    @model_validator(mode="after")
    def _whole(self) -> "Loop":
        names = [a.name for a in self.subagents]
        if len(set(names)) < len(names):
            raise ValueError("subagents: every name may stand once")
        if taken := sorted({"lead", "loop", "verifier"}.intersection(names)):
            raise ValueError(f"subagents: {taken[0]!r} is the name of an agent every loop has")
        for role in ("maker", "checker"):
            if sum(a.role == role for a in self.subagents) > 1:
                raise ValueError(f"subagents: only one may be the {role}")
        if self.goal and not self.workspace:
            raise ValueError("goal: needs a workspace to verify in")
        if self.goal and not (self.agent("maker") and self.agent("checker")):
            raise ValueError("goal: needs a subagent with role maker and one with role checker")
        if self.deliver and not self.goal:
            raise ValueError("deliver: needs a goal, since nothing is delivered without evidence")
        return self
