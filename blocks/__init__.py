"""Which credentials and addresses does this organisation hold? `prefect block register -m blocks` registers all."""

from blocks.journal import Journal
from blocks.mcp_server import McpServer
from blocks.model_provider import ModelProvider
from blocks.repository import Repository
from blocks.store_database import StoreDatabase
from blocks.usage_report import UsageReport
from blocks.webhook_sender import WebhookSender

__all__ = [
    "Journal",
    "McpServer",
    "ModelProvider",
    "Repository",
    "StoreDatabase",
    "UsageReport",
    "WebhookSender",
]
