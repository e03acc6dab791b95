"""Whose signed requests may fire a loop?"""

from typing import Literal

from prefect.blocks.core import Block
from pydantic import Field, SecretStr


class WebhookSender(Block):
    """The secret that a sender signs its requests with. Loops name the block; only the gateway reads it."""

    _block_type_name = "Webhook Sender"
    _block_type_slug = "webhook-sender"

    secret: SecretStr = Field(
        description="Shared with the sender; `whsec_` and base64, as Standard Webhooks has it, or plain text."
    )
    scheme: Literal["standard", "github"] = Field(
        default="standard",
        description="How the sender signs: Standard Webhooks, or GitHub's X-Hub-Signature-256.",
    )
    previous: SecretStr | None = Field(
        default=None,
        description="The secret before, still accepted while senders are changed over.",
    )
