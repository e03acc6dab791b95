"""What does Prefect keep of what a loop's steps came to? Nothing.

Flows name this block as their result storage, so that neither a default of Prefect's settings nor one of its server
ever takes that place, and refuse they all: what was done is in the store's journal, which is asked before a task run
is made. Source: docs/decisions/0002-one-memory.md, docs/decisions/0025-asked-first.md
"""

from prefect.filesystems import WritableFileSystem

JOURNAL = "journal/looprail"
"""The block document flows name as their result storage."""

NOWHERE = "Prefect keeps no result of a loop: what was done is in the store's journal"


class Journal(WritableFileSystem):
    """Prefect's result storage for loops: it keeps nothing, and has nothing to bring back."""

    _block_type_name = "Journal"
    _block_type_slug = "journal"

    async def read_path(self, path: str) -> bytes:
        """Nothing is here. Raises `ValueError`."""
        raise ValueError(f"{NOWHERE}; {path!r} was asked for")

    async def write_path(self, path: str, content: bytes) -> None:
        """Nothing is taken. Raises `ValueError`."""
        raise ValueError(f"{NOWHERE}; {path!r} was offered")
