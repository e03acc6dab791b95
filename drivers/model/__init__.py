"""How is a model provider spoken to?"""

from drivers.model.client import AnthropicModel

__all__ = ["AnthropicModel"]
