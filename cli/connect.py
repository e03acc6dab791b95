"""How do a credential and an address get to where the workers find them?"""

import re
from pathlib import Path

import click

from cli.connect_mcp import mcp
from cli.connect_options import (
    anyway_option,
    ask_option,
    owner_option,
    replace_option,
    secret,
    tell,
    token_option,
)
from cli.connect_usage import usage_report
from cli.connect_webhook import webhook
from cli.keys import Key, read_key, screen_of, visible
from cli.saving import Document, keep, make_ready
from cli.source import organisation_of, registry_option
from cli.starting import FIRST_MODEL
from cli.tries import try_model, try_repository, try_store
from governance.guardrails import Screen

_MODEL_EXAMPLE = """\b
$ export KEY=...            # or: read -rs KEY && export KEY
$ loops connect model anthropic --key-env KEY
$ loops connect model anthropic                 # asks, without showing it
"""
_REPOSITORY_EXAMPLE = """\b
$ loops connect repository northwind-api --url https://forge.example/northwind/api.git --token-env FORGE_TOKEN
"""
_STORE_EXAMPLE = """\b
$ loops connect store --url sqlite:////srv/looprail/store.db --blobs /srv/looprail/blobs
$ export STORE=postgresql://looprail:...@db.example/looprail
$ loops connect store --url-env STORE --blobs /srv/looprail/blobs
"""
_AUTHOR = re.compile(r"[^<>\n]*[^<>\s]\s*<[^<>\s]+>")


@click.group()
def connect() -> None:
    """Try a credential, and keep it in a Prefect block.

    A key is read from an environment variable you name or from a hidden prompt, never from an
    argument. It is tried first; when that fails nothing is saved. Loops name the block; they and
    their agents never see what is in it.
    """


@connect.command(epilog=_MODEL_EXAMPLE)
@click.argument("name")
@click.option(
    "--key-env", "variable", metavar="VAR", help="The environment variable that holds the key."
)
@click.option(
    "--base-url", default="https://api.anthropic.com", show_default=True, help="Without /v1."
)
@click.option("--model", "models", multiple=True, help="A model id to try; org.yaml's by default.")
@owner_option
@replace_option
@anyway_option
@registry_option
def model(
    name: str, variable: str | None, base_url: str, models: tuple[str, ...], owner: str | None,
    replace: bool, save_anyway: bool, root: Path,
) -> None:  # fmt: skip
    """Connect a model provider, as block model-provider/NAME.

    Tried by counting the tokens of one word with each model that org.yaml expects there; that costs
    nothing.
    """
    visible((base_url,))
    tried = models or _models(root, name) or (FIRST_MODEL,)
    document = f"model-provider/{name}"
    taken = make_ready(document, replace=replace, secret=True)
    key = read_key(variable, "--key-env", "key", owner)
    from blocks import ModelProvider

    block = ModelProvider(base_url=base_url, api_key=secret(key), personal_of=key.personal_of)
    said = keep(
        (Document(document, block, taken),), lambda: try_model(base_url, key.value, tried),
        screen_of(key), save_anyway=save_anyway,
    )  # fmt: skip
    entries = "\n".join(f"  {m}: {{provider: {name}}}" for m in tried)
    tell(said, document, f"For registry/org.yaml, below `models:`.\n\n{entries}")


@connect.command(epilog=_REPOSITORY_EXAMPLE)
@click.argument("name")
@click.option("--url", required=True, help="https or file URL, without a password.")
@token_option
@ask_option
@click.option(
    "--author", default="Looprail <looprail@localhost>", show_default=True, help="Of our commits."
)
@owner_option
@replace_option
@anyway_option
def repository(
    name: str, url: str, variable: str | None, asks: bool, author: str, owner: str | None,
    replace: bool, save_anyway: bool,
) -> None:  # fmt: skip
    """Connect a git repository, as block repository/NAME.

    Tried by asking which branches there are. Nothing is fetched or pushed.
    """
    visible((url,))
    if not _AUTHOR.fullmatch(author):
        raise click.UsageError("--author takes 'Name <address>'")
    document = f"repository/{name}"
    has_token = bool(variable) or asks
    taken = make_ready(document, replace=replace, secret=has_token)
    key = read_key(variable, "--token-env", "token", owner) if has_token else None
    from blocks import Repository

    block = Repository(
        url=url, token=secret(key) if key else None, author=author,
        personal_of=key.personal_of if key else None,
    )  # fmt: skip
    said = keep(
        (Document(document, block, taken),), lambda: try_repository(url, key.value if key else None),
        screen_of(key), save_anyway=save_anyway,
    )  # fmt: skip
    entry = f"  owner/name: {{repository: {name}}}"
    tell(said, document, f"For registry/org.yaml, below `repositories:`.\n\n{entry}")


@connect.command(epilog=_STORE_EXAMPLE)
@click.option(
    "--url",
    help="Such as sqlite:////srv/looprail/store.db or postgresql://host/db; without a password.",
)
@click.option(
    "--url-env", "variable", metavar="VAR", help="The environment variable that holds the URL."
)
@click.option(
    "--blobs", required=True, type=click.Path(path_type=Path), help="Directory of the blobs."
)
@replace_option
@anyway_option
def store(
    url: str | None, variable: str | None, blobs: Path, replace: bool, save_anyway: bool
) -> None:
    """Connect the store, as block store-database/looprail; there is one.

    Tried by opening it, which makes it or brings it up to date. Also saves journal/looprail, the
    result storage of loops, which keeps nothing: what was done is in the store.
    """
    from blocks.journal import JOURNAL
    from blocks.store_database import STORE

    if bool(url) == bool(variable):
        raise click.UsageError("give the store's address with --url or with --url-env")
    if url and "@" in url:
        raise click.UsageError("a URL with a user or password in it goes by --url-env VAR")
    taken = make_ready(STORE, replace=replace, secret=bool(variable))
    key = read_key(variable, "--url-env", "URL", None) if variable else Key(url or "")
    from blocks import Journal, StoreDatabase

    place = blobs.absolute()
    documents = (
        Document(STORE, StoreDatabase(url=secret(key), blobs=str(place)), taken),
        Document(JOURNAL, Journal(), True),
    )
    screen = screen_of(key) if variable else Screen()
    said = keep(documents, lambda: try_store(key.value, place), screen, save_anyway=save_anyway)
    tell(said, STORE, f"Also saved as block {JOURNAL!r}. Workers use them from now on.")


def _models(root: Path, provider: str) -> tuple[str, ...]:
    """The ids of the models that org.yaml expects at this provider."""
    organisation = organisation_of(root)
    if organisation is None:
        return ()
    return tuple(m.model for m in organisation.models.values() if m.provider == provider)


connect.add_command(mcp)
connect.add_command(webhook)
connect.add_command(usage_report)
