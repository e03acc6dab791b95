"""What is allowed to run, and what is wrong with the files that say so?

Texts in, a `Registry` out, or every problem of every file at once.

    org.yaml                          models, connectors, labels, rules, people
    budgets.yaml                      who may spend how much; may be left out
    prices.yaml                       what costs other than the price list says; may be left out
    loops/<name>.yaml                 one loop; the file is named as the loop is
    instructions/<name>/v<N>.md       what an agent is told; `<name>.md@v<N>`
    skills/<name>/v<N>/SKILL.md       an Agent Skills folder; `<name>@v<N>`
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from governance.budgets import BudgetRule, FanOutRule
from governance.definition import Loop
from governance.errors import DefinitionError
from governance.organisation import Organisation
from governance.parts import canonical
from governance.pinned import pin
from governance.prices.contract import Contract
from governance.problems import (
    Problem,
    shown,
    suggest,
)
from governance.reach import Reach, reach
from governance.skills import Skill

SCHEMA_FILE = "loop.schema.json"
"""The loop file's JSON Schema for editors; written by `loops schema`, read by no one here."""


@dataclass(frozen=True)
class Texts:
    """A registry as it was read: text by path below its root, and what could not be read."""

    files: Mapping[str, str]
    root: str = "registry"
    """What the root is called in problems."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Registry:
    """All that is allowed to run. Every name in it is resolved."""

    organisation: Organisation
    loops: Mapping[str, Loop]
    """By name, with the organisation's limits where the loop sets none."""
    instructions: Mapping[str, str]
    """Text by `name@vN`."""
    skills: Mapping[str, Skill]
    """By `name@vN`."""
    budgets: tuple[BudgetRule, ...] = ()
    """The rules about spending, as budgets.yaml says them; in force is what was applied."""
    prices: Contract = field(default_factory=Contract)
    """What costs other than the price list says."""
    fan_outs: tuple[FanOutRule, ...] = ()
    """The rules about what a heartbeat may hand out at once, as budgets.yaml says them."""

    def loop(self, name: str) -> Loop:
        """The loop of this name. Raises `DefinitionError`."""
        if name not in self.loops:
            hint = suggest(name, self.loops, "loops")
            raise DefinitionError((f"loop {shown(name)} is not in the registry{hint}",))
        return self.loops[name]

    def pinned(self, name: str) -> str:
        """Canonical JSON of a `Pinned`: the same content, the same text. Raises `DefinitionError`."""
        pinned = pin(self.loop(name), self.organisation, self.instructions, self.skills)
        return canonical(pinned.model_dump(mode="json"))

    def touches(self, name: str) -> Reach:
        """Everything the loop can reach, agent by agent. Raises `DefinitionError`."""
        return reach(self.loop(name), self.organisation)


@dataclass
class Examined:
    """What an examination found. `registry` is None while there are problems."""

    registry: Registry | None = None
    problems: list[Problem] = field(default_factory=list[Problem])
    warnings: list[Problem] = field(default_factory=list[Problem])
