"""Which registry does a command read, and what is in it?"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from drivers.registry_files import read_registry
from governance.examination import examine, load
from governance.organisation import Organisation
from governance.registry import Examined, Registry, Texts

F = TypeVar("F", bound=Callable[..., object])


def registry_option(command: F) -> F:
    """Add `--registry DIR` to a command."""
    return click.option(
        "--registry",
        "root",
        type=click.Path(path_type=Path),
        envvar="LOOPRAIL_REGISTRY",
        default=Path("registry"),
        show_default="$LOOPRAIL_REGISTRY or ./registry",
        help="The registry directory.",
    )(command)


def json_option(command: F) -> F:
    """Add `--json` to a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead.")(command)


def priced(model_id: str) -> bool:
    """Whether the public price list has a price for this model today."""
    # The price list takes most of a second to load, and is asked only under a cost cap.
    from governance.prices import price_of

    return price_of(model_id, int(time.time() * 1000)) is not None


def examine_texts(texts: Texts) -> Examined:
    """Everything that is wrong with these texts, or doubtful."""
    return examine(texts, priced=priced)


def load_registry(root: Path) -> Registry:
    """The registry in a directory. Raises `DefinitionError` with every problem."""
    return load(read_registry(root), priced=priced)


def organisation_of(root: Path) -> Organisation | None:
    """What the registry's org.yaml says, or None when there is none yet. Raises `DefinitionError`."""
    if not (root / "org.yaml").exists():
        return None
    texts = read_registry(root)
    alone = {path: text for path, text in texts.files.items() if path == "org.yaml"}
    return load(replace(texts, files=alone, problems=()), priced=priced).organisation


def write_text(path: Path, text: str) -> None:
    """Replace a file's content; a place that cannot be written ends the command with its reason."""
    try:
        path.write_text(text)
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from error
