"""How does a new loop begin?"""

import getpass
import re
from pathlib import Path
from typing import get_args

import click

from cli.check import check_registry
from cli.schema import schema_text
from cli.source import organisation_of, registry_option, write_text
from cli.starting import Start, first_organisation, first_prices, names_for, texts_of
from governance.documents import parse
from governance.organisation import Organisation
from governance.parts import canonical
from governance.registry import SCHEMA_FILE

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST = 40
"""The names of its agents are longer, and end at 48 characters."""

_EXAMPLE = """\b
$ loops new night-fix
registry/loops/night-fix.yaml
registry/instructions/night-fix/v1.md
...
$ loops check && loops show night-fix
"""


@click.command(epilog=_EXAMPLE)
@click.argument("name")
@click.option(
    "--from", "start", type=click.Choice(get_args(Start)), default="goal", show_default=True,
    help="goal: a maker, a verifier, a checker. tickets: one conversation each. published: the agent form.",
)  # fmt: skip
@click.option("--owner", help="Who answers for it; the user of this machine by default.")
@registry_option
def new(name: str, start: Start, owner: str | None, root: Path) -> None:
    """Write a new loop to start from: its file, with every field explained, and its instructions.

    What it names is taken from org.yaml. Where there is no registry yet, a small org.yaml and a
    prices.yaml are written too. Nothing that exists is changed.

    Exit code 0 when `loops check` finds nothing wrong with it, 2 when something is left to fill in.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise click.UsageError(
            f"NAME takes lower case letters, digits and single dashes, at most {_LONGEST}"
        )
    organisation = organisation_of(root)
    texts: dict[str, str] = {}
    who = _owner(owner)
    if organisation is None:
        texts["org.yaml"] = first_organisation()
        texts[SCHEMA_FILE] = schema_text()
        if not (root / "prices.yaml").exists():
            texts["prices.yaml"] = first_prices()
        organisation = Organisation.model_validate_json(
            canonical(parse(texts["org.yaml"], "org.yaml").value), strict=True
        )
    names = names_for(start, name, who, organisation)
    texts |= texts_of(start, names)
    _write(root, texts)
    for what in names.missing:
        click.echo(f"registry/org.yaml does not have {what}; add it, or change the loop.", err=True)
    examined, _ = check_registry(root, (root / "loops" / f"{name}.yaml",))
    for problem in (*examined.problems, *examined.warnings):
        click.echo(str(problem), err=True)
    if examined.problems:
        raise SystemExit(2)
    click.echo(
        f"Say what it is for in {root / 'loops' / name}.yaml; `loops check` and `loops show {name}`."
    )


def _owner(owner: str | None) -> str:
    who = owner or getpass.getuser()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*(@[A-Za-z0-9.-]+)?", who):
        raise click.UsageError("--owner takes an address or a login")
    return who


def _write(root: Path, texts: dict[str, str]) -> None:
    """All files or none. Raises `click.ClickException` when one of them exists."""
    taken = [str(root / path) for path in texts if (root / path).exists()]
    if taken:
        raise click.ClickException(
            f"{taken[0]!r} exists already; nothing was written. Choose another name."
        )
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_text(root / path, text)
        click.echo(str(root / path))
