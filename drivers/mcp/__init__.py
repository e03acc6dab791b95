"""How do we speak to an MCP server we do not trust?"""

from drivers.mcp.connector import McpConnector

__all__ = ["McpConnector"]
