"""Where is the store?"""

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

STORE = "store-database/looprail"
"""The one store's block document."""


class StoreDatabase(Block):
    """The store's database and blobs: the only memory. Every worker of one organisation names the same."""

    _block_type_name = "Store Database"
    _block_type_slug = "store-database"

    url: SecretStr = Field(description="Database URL, such as sqlite:////srv/looprail/store.db")
    blobs: str = Field(description="Directory of the content-addressed blobs.")
