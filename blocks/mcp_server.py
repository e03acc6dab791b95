"""How is an MCP server reached, and with which credential?"""

from ipaddress import IPv4Network
from typing import Literal, Self

from prefect.blocks.core import Block
from pydantic import Field, SecretStr, model_validator


class McpServer(Block):
    """An MCP server: either a URL (streamable HTTP) or a command (stdio), and its credential."""

    _block_type_name = "MCP Server"
    _block_type_slug = "mcp-server"

    url: str | None = Field(default=None, description="Address of a streamable HTTP server.")
    command: tuple[str, ...] = Field(
        default=(), description="Program and arguments of a stdio server."
    )
    token: SecretStr | None = Field(
        default=None, description="Sent as `Authorization: Bearer`, or put in `token_variable`."
    )
    token_variable: str | None = Field(
        default=None,
        description="The one environment variable a stdio server reads its token from.",
    )
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Other variables of a stdio server; it sees none of ours. Nothing secret here.",
    )
    binds: tuple[tuple[str, Literal["ro", "rw"]], ...] = Field(
        default=(), description="Paths a stdio server may see beside its own program."
    )
    network: bool = Field(
        default=False,
        description="Whether a stdio server reaches public addresses; never this machine's own.",
    )
    private: tuple[IPv4Network, ...] = Field(
        default=(), description="Networks that are not public which it reaches too."
    )
    personal_of: str | None = Field(
        default=None,
        description="Whose own credential this is, when a person let it be used here by name.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.url) == bool(self.command):
            raise ValueError("an MCP server has either a url or a command")
        if self.private and not self.network:
            raise ValueError("private networks go with network")
        return self
