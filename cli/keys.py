"""Which key does a person give us, and may it be used here?

A key comes from a named environment variable or from a hidden prompt: an argument would stand in process lists and
shell histories. Whatever is shown afterwards passes a screen that knows it.
"""

import os
import re
import sys
from dataclasses import dataclass, field

import click

from cli.names import person
from governance.guardrails import Screen
from governance.personal import gives_away, personal

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Key:
    """A credential, and the person it belongs to when it is their own. Its repr does not show it."""

    value: str = field(repr=False)
    personal_of: str | None = None


def read_key(variable: str | None, option: str, what: str, owner: str | None) -> Key:
    """The key from `variable`, else from a hidden prompt. Raises `click.ClickException` where it may not be used."""
    value = _from_environment(variable, option) if variable else _from_prompt(option, what)
    kind = personal(value)
    if kind and owner is None:
        raise click.ClickException(
            f"this is {kind}. A loop that holds it acts in that person's name, and stops when they leave. "
            "Use a key of the organisation (an app or a service account), or name its owner, who accepts "
            "that: --accept-personal-token OWNER."
        )
    return Key(value, person(owner, "--accept-personal-token") if owner is not None else None)


def visible(words: tuple[str, ...]) -> None:
    """Raises `click.UsageError` when what stands on the command line looks like a credential."""
    if any(gives_away(word) for word in words):
        raise click.UsageError(
            "one of the arguments looks like a credential, and arguments stand in process lists and shell "
            "histories: change that credential now. Name a variable that holds it instead."
        )


def screen_of(key: Key | None) -> Screen:
    """What everything shown passes."""
    return Screen().with_secret(key.value) if key else Screen()


def _from_environment(variable: str, option: str) -> str:
    # Never repeated: somebody may have put the key itself here.
    if not _VARIABLE.fullmatch(variable) or gives_away(variable):
        raise click.UsageError(
            f"{option} takes the name of an environment variable, never a key. If it was one, change it: "
            "it stands in your shell's history now."
        )
    value = os.environ.get(variable, "").strip()
    if not value:
        raise click.UsageError(f"the environment variable that {option} names is not set or empty")
    return value


def _from_prompt(option: str, what: str) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"there is no terminal to ask for the {what} on; name a variable that holds it: {option} VAR"
        )
    value: str = click.prompt(what.capitalize(), hide_input=True, err=True)
    return value.strip()
