"""Where is a git repository, and with which token?"""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class Repository(Block):
    """A git repository and a token that may push branches to it. Agents never see either."""

    _block_type_name = "Repository"
    _block_type_slug = "repository"

    url: str = Field(
        description="https or file URL; ssh needs a key on the host, which we do not hold."
    )
    token: SecretStr | None = Field(default=None, description="Sent as HTTP basic authorization.")
    author: str = Field(
        default="Looprail <looprail@localhost>", description="Author of the commits we make."
    )
    personal_of: str | None = Field(
        default=None,
        description="Whose own credential this is, when a person let it be used here by name.",
    )
