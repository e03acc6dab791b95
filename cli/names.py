"""Under which name is what a person says put on record?"""

import getpass

import click

from cli.words import one_line
from governance.approvals import CLAIMED


def claimed(name: str | None) -> str:
    """The name as it is recorded; the user of this machine when none is given. Raises `click.UsageError`."""
    return f"{CLAIMED}: {person(getpass.getuser() if name is None else name, '--as')}"


def person(name: str, option: str) -> str:
    """A name that shows what it holds. Raises `click.UsageError`."""
    named = name.strip()
    if not named or len(named) > 120 or one_line(named) != named:
        raise click.UsageError(f"{option} takes a name: one line of 1 to 120 visible characters")
    return named
