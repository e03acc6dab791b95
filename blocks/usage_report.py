"""Where does the provider tell what it billed, and with which key?"""

from typing import Literal

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

USAGE_REPORT = "usage-report/looprail"
"""The one report's block document."""


class UsageReport(Block):
    """The provider's usage report, and the Admin key that reads it; no model is called with that key."""

    _block_type_name = "Usage Report"
    _block_type_slug = "usage-report"

    provider: Literal["anthropic"] = Field(default="anthropic", description="Whose report it is.")
    base_url: str = Field(
        default="https://api.anthropic.com", description="Where the Admin API answers, without /v1."
    )
    admin_key: SecretStr = Field(description="An Admin key of the organisation (sk-ant-admin…).")
    workspaces: tuple[str, ...] = Field(
        default=(), description="Ids of the workspaces whose use is ours; all by default."
    )
    api_keys: tuple[str, ...] = Field(
        default=(), description="Ids of the API keys whose use is ours; all by default."
    )
    final_after_hours: int = Field(
        default=24, ge=1, le=24 * 31,
        description="Hours after the end of a UTC day until its report is taken for final.",
    )  # fmt: skip
