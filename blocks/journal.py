"""Has this step been done before?

Prefect asks its result storage; ours answers from the journal. A record is a receipt (key and digest) made on the
spot by us with our own JSON serializer, so that nothing stored is ever unpickled; and a result the journal does
not have is not taken. Source: docs/decisions/0002-one-memory.md
"""

import json

from prefect._internal.result_records import ResultRecord, ResultRecordMetadata
from prefect.filesystems import WritableFileSystem
from prefect.serializers import JSONSerializer
from pydantic import Field, PrivateAttr

from blocks.store_database import STORE, StoreDatabase
from drivers.crash import point
from drivers.store import store_at
from governance.memory import Store

JOURNAL = "journal/looprail"
"""The block document flows name as their result storage."""

SERIALIZER = JSONSerializer(jsonlib="json", object_encoder=None, object_decoder=None)
"""Prefect reads a record's serializer from the record itself: this one can only make JSON values."""


class Journal(WritableFileSystem):
    """Prefect's result storage, answered from the store's journal; it keeps nothing of its own."""

    _block_type_name = "Journal"
    _block_type_slug = "journal"

    store: str = Field(default=STORE, description="The store's block document.")
    _open: Store | None = PrivateAttr(default=None)

    async def _journal(self) -> Store:
        if self._open is None:
            document = await StoreDatabase.aload(self.store.partition("/")[2])
            self._open = store_at(document.url.get_secret_value(), document.blobs)
        return self._open

    async def read_path(self, path: str) -> bytes:
        """The receipt of a done step as a Prefect result record. Raises `ValueError` when it is not done."""
        digest = await (await self._journal()).receipt(path)
        if digest is None:
            raise ValueError(f"step {path!r} is not done")
        record = ResultRecord(
            metadata=ResultRecordMetadata(storage_key=path, serializer=SERIALIZER),
            result={"key": path, "digest": digest},
        )
        return record.serialize()

    async def write_path(self, path: str, content: bytes) -> None:
        """Accept what the journal already says; refuse a receipt it does not have.

        A step that was stopped or waits has no receipt: nothing is kept, and it is asked again next time.
        """
        try:
            told = json.loads(json.loads(content)["result"])["digest"]
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"only receipts are kept here, and {path!r} is none") from error
        if told is None:
            return
        point("before-receipt")
        digest = await (await self._journal()).receipt(path)
        if digest != told:
            raise ValueError(f"step {path!r} is not in the journal as {told!r}")
