"""What does the scripted model answer, given only the request?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import cast

from demo.model.adversary import adversary
from demo.model.engineer import engineer
from demo.model.impostors import accept_all, poisoner, wrong_fix
from demo.model.knowledge import BUILT_IN, Fix
from demo.model.view import Json, Move, View, view_of

Character = Callable[[View, tuple[Fix, ...]], Move]
Brain = Callable[[Json], Move]
"""From the body of a request to the next move; nothing else is known to it."""

CHARACTERS: Mapping[str, Character] = {
    "engineer": engineer,
    "wrong-fix": wrong_fix,
    "poisoner": poisoner,
    "accept-all": accept_all,
    "adversary": adversary,
}
PERSONAS: Mapping[str, Mapping[str, str]] = {
    "engineer": {},
    "wrong-fix": {"maker": "wrong-fix"},
    "poisoner": {"maker": "poisoner"},
    "accept-all": {"checker": "accept-all"},
    "accept-all-checker": {"checker": "accept-all"},
    "adversary": {"*": "adversary"},
}
"""Who plays which role, by the name of the whole cast; the engineer plays the others."""


@dataclass(frozen=True)
class Options:
    """What a brain is made with, when the process starts."""

    knowledge: tuple[Fix, ...] = BUILT_IN
    cast: Mapping[str, str] = field(default_factory=dict[str, str])
    """Character by role; `*` for every role not named."""


def casting(persona: str) -> Mapping[str, str]:
    """The cast that a `--persona` names: one for all (`wrong-fix`), or by role (`maker=poisoner,checker=accept-all`).

    Raises `ValueError` for a name that does not exist.
    """
    if "=" not in persona:
        if persona not in PERSONAS:
            raise ValueError(f"persona {persona!r} is none of {', '.join(PERSONAS)}")
        return PERSONAS[persona]
    parts = [part.partition("=") for part in persona.split(",")]
    wrong = [who for _, _, who in parts if who not in CHARACTERS]
    if wrong:
        raise ValueError(f"persona {wrong[0]!r} is none of {', '.join(CHARACTERS)}")
    return {role.strip(): who for role, _, who in parts}


def scripted(options: Options) -> Brain:
    """The brain of the demo: in each role, whoever is cast for it."""

    def move(body: Json) -> Move:
        view = view_of(body)
        who = options.cast.get(_role(view)) or options.cast.get("*", "engineer")
        return CHARACTERS[who](view, options.knowledge)

    return move


def _role(view: View) -> str:
    """The role as our prompts name it, else as the schema and the tools give it away."""
    if view.role:
        return view.role.partition(":")[0]
    if "verdict" in ((view.schema or {}).get("properties") or {}):
        return "checker"
    return "maker" if view.tool("workspace__run") else "lead"


def brain_named(name: str, options: Options) -> Brain:
    """The brain that `module:factory` makes; the factory is called with the options."""
    module, _, factory = name.partition(":")
    return cast(Callable[[Options], Brain], getattr(import_module(module), factory))(options)
