"""Where is a model provider, and with which key?"""

from typing import Literal

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class ModelProvider(Block):
    """A model provider's address and key. Loops name models; only this block knows the key."""

    _block_type_name = "Model Provider"
    _block_type_slug = "model-provider"

    provider: Literal["anthropic"] = Field(
        default="anthropic", description="Whose API is spoken there."
    )
    base_url: str = Field(
        default="https://api.anthropic.com",
        description="Where the Messages API answers, without /v1.",
    )
    api_key: SecretStr = Field(description="The organisation's key; never a person's own.")
    personal_of: str | None = Field(
        default=None,
        description="Whose own credential this is, when a person let it be used here by name.",
    )
