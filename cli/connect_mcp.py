"""How is an MCP server connected?"""

import os
from ipaddress import IPv4Network
from typing import Literal

import click

from cli.connect_options import (
    anyway_option,
    ask_option,
    owner_option,
    replace_option,
    secret,
    tell,
    token_option,
)
from cli.keys import read_key, screen_of, visible
from cli.saving import Document, keep, make_ready
from cli.tries import try_mcp

_MCP_EXAMPLE = """\b
$ loops connect mcp github --url https://mcp.example/github/mcp --token-env GITHUB_APP_TOKEN
$ loops connect mcp git --bind /srv/api -- mcp-server-git
$ loops connect mcp tickets --token-env KEY --token-variable TICKETS_KEY --network -- tickets-mcp
$ loops connect mcp wiki --network --private 10.20.0.0/16 -- wiki-mcp
"""


@click.command(epilog=_MCP_EXAMPLE)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", help="Address of a streamable HTTP server.")
@token_option
@ask_option
@click.option(
    "--token-variable", metavar="NAME", help="The variable a COMMAND reads its token from."
)
@click.option(
    "--bind", "binds", multiple=True, metavar="PATH[:rw]", help="A path a COMMAND may see."
)
@click.option(
    "--network",
    is_flag=True,
    help="Let a COMMAND reach public addresses, never this machine's own.",
)
@click.option(
    "--private", "private", multiple=True, metavar="NETWORK",
    help="With --network: one that is not public and may be reached too, such as 10.20.0.0/16.",
)  # fmt: skip
@owner_option
@replace_option
@anyway_option
def mcp(
    name: str, command: tuple[str, ...], url: str | None, variable: str | None, asks: bool,
    token_variable: str | None, binds: tuple[str, ...], network: bool, private: tuple[str, ...],
    owner: str | None, replace: bool, save_anyway: bool,
) -> None:  # fmt: skip
    """Connect an MCP server, as block mcp-server/NAME.

    Either --url, or after `--` the COMMAND with its arguments; a COMMAND runs fenced: it sees its
    own program, what --bind names, and no network unless --network. That one is a network of its
    own, from which public IPv4 addresses are reached and what --private names, but nothing that
    listens on this machine. Tried by listing its tools, which are shown with their hints and as a
    piece of org.yaml.
    """
    _one_way(url, command, token_variable, binds, network)
    if private and not network:
        raise click.UsageError("--private goes with --network")
    has_token = bool(variable) or asks
    if command and has_token != bool(token_variable):
        raise click.UsageError(
            "--token-variable goes with --token-env or --ask-token, for a COMMAND"
        )
    visible((*command, url or ""))
    bound = tuple(_bind(b) for b in binds)
    document = f"mcp-server/{name}"
    taken = make_ready(document, replace=replace, secret=has_token)
    key = read_key(variable, "--token-env", "token", owner) if has_token else None
    from blocks import McpServer

    block = McpServer(
        url=url, command=command, token=secret(key) if key else None, token_variable=token_variable,
        binds=bound, network=network, private=tuple(_network(n) for n in private),
        personal_of=key.personal_of if key else None,
    )  # fmt: skip
    said = keep(
        (Document(document, block, taken),), lambda: try_mcp(name, block, key.value if key else None),
        screen_of(key), save_anyway=save_anyway,
    )  # fmt: skip
    tell(said, document, f"Loops name it {name!r} once it stands in registry/org.yaml.")


def _one_way(
    url: str | None, command: tuple[str, ...], token_variable: str | None, binds: tuple[str, ...], network: bool
) -> None:  # fmt: skip
    if bool(url) == bool(command):
        raise click.UsageError(
            "give either --url URL, or after `--` the command that starts the server"
        )
    if url and (token_variable or binds or network):
        raise click.UsageError(
            "--token-variable, --bind and --network are for a COMMAND, not for a --url"
        )


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text)
    except ValueError as error:
        raise click.UsageError(
            f"--private {text!r}: {error}. Give an IPv4 network, such as 10.20.0.0/16"
        ) from None


def _bind(text: str) -> tuple[str, Literal["ro", "rw"]]:
    path, writable = text.removesuffix(":rw"), text.endswith(":rw")
    if not os.path.exists(path):
        raise click.UsageError(f"--bind {path!r}: there is no such file or directory")
    return os.path.abspath(path), "rw" if writable else "ro"
