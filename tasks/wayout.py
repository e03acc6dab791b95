"""Where is it put right when the far side refuses us and will again?

A driver knows an address and a credential, not where they come from. Whoever uses one of a block says so here, and a
refusal that will not heal names the block and the command that replaces it.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from governance.errors import Rejected
from governance.organisation import Organisation


@contextmanager
def _held_in(
    kind: Literal["model-provider", "mcp-server", "repository"], name: str, command: str
) -> Generator[None]:
    try:
        yield
    except Rejected as error:
        error.add_note(
            f"Address and credential are those of block '{kind}/{name}'; "
            f"`loops connect {command} {name} --replace` tries others and keeps them"
        )
        raise


def of_model(provider: str) -> AbstractContextManager[None]:
    """While a model provider is used."""
    return _held_in("model-provider", provider, "model")


def of_connector(organisation: Organisation, name: str) -> AbstractContextManager[None]:
    """While a connector is used."""
    return _held_in("mcp-server", organisation.connectors[name].server, "mcp")


def of_repository(organisation: Organisation, name: str) -> AbstractContextManager[None]:
    """While a repository is used."""
    return _held_in("repository", organisation.repositories[name].repository, "repository")
