"""What do all ways to connect something have in common?"""

from typing import TYPE_CHECKING

import click

from cli.keys import Key

if TYPE_CHECKING:
    from pydantic import SecretStr

replace_option = click.option(
    "--replace", is_flag=True, help="Replace a block of that name unasked."
)
anyway_option = click.option("--save-anyway", is_flag=True, help="Save it although the try failed.")
owner_option = click.option(
    "--accept-personal-token", "owner", metavar="OWNER",
    help="This key is OWNER's own, and they accept that loops use it.",
)  # fmt: skip
token_option = click.option(
    "--token-env", "variable", metavar="VAR", help="The environment variable that holds the token."
)
ask_option = click.option(
    "--ask-token", "asks", is_flag=True, help="Ask for the token, without showing it."
)


def tell(said: str | None, document: str, next_step: str) -> None:
    """What came of it, and what to do next."""
    if said is not None:
        click.echo(f"{said}\n")
    click.echo(f"Saved as block {document!r}. {next_step}")


def secret(key: Key) -> "SecretStr":
    """The key as a block holds it."""
    from pydantic import SecretStr

    return SecretStr(key.value)
