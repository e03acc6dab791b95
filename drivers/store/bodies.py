"""Where does a JSON value live that may be large?

Up to 8 KB in its column, as canonical JSON; above that in a blob, and the column holds the blob's digest. The two
cannot be confused: no JSON value begins with `sha256:`.
"""

import json
from dataclasses import dataclass
from typing import Any

from governance.errors import Damaged
from governance.parts import canonical, digest
from governance.ports import Blobs

INLINE_BYTES = 8 * 1024


@dataclass(frozen=True)
class Body:
    """A value as its column holds it, and the digest of its canonical spelling."""

    column: str
    digest: str

    @classmethod
    def held(cls, column: str) -> "Body":
        """The body that a column holds already."""
        return cls(column, column if column.startswith("sha256:") else digest(column))


GONE = canonical({"gone": "by retention"})
"""What stands where a value was that retention has dropped; its digest stays."""


class Bodies:
    """Values in and out of columns, over one blob store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def put(self, value: object) -> Body:
        """The value as a column; a blob is durable when this returns, so this comes before the transaction."""
        text = canonical(value)
        data = text.encode()
        if len(data) <= INLINE_BYTES:
            return Body(text, digest(data))
        blob = await self._blobs.put(data)
        return Body(blob, blob)

    async def get(self, column: str, expected: str | None = None) -> Any:
        """The value a column stands for, of the digest `expected` that was noted beside it.

        Raises `Damaged` when its blob is missing or changed, or when it is another value than was written and
        not what retention leaves.
        """
        large = column.startswith("sha256:")
        if expected is not None and column != GONE:
            found = column if large else digest(column)
            if found != expected:
                raise Damaged(
                    f"a value on record has digest {found!r}, and {expected!r} was noted when it was written: "
                    "the store was changed by something else. Restore it from a backup."
                )
        return json.loads(await self._blobs.get(column) if large else column)
