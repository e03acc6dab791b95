"""Where are the lake's files, and how far has the ledger been read into them?

`spans/date=YYYY-MM-DD/part-0.parquet` holds one UTC day of span starts; `spans/schema.parquet` has no rows and says
what the columns are before there is a day; `parents.parquet` holds what those spans hang from; `runs.parquet`,
`items.parquet` and `evidence.parquet` stand beside them. `watermark.json` is written when all spans are.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analytics.schema import SPANS, TRACE_SCHEMA
from drivers.home import home
from governance.errors import StoreError


def lake_dir() -> Path:
    """The lake of this installation: `$LOOPRAIL_HOME/lake`."""
    return home() / "lake"


@dataclass(frozen=True)
class Mark:
    """The last ledger row in the lake, and the day files that must be there with it."""

    seq: int
    span: str
    started_at: int
    days: tuple[str, ...]
    trace_schema: str = TRACE_SCHEMA


@dataclass(frozen=True)
class Lake:
    """One directory of Parquet files. A file appears whole or not at all."""

    root: Path

    def day(self, day: str) -> Path:
        """The file of one UTC day (`YYYY-MM-DD`)."""
        return self.root / "spans" / f"date={day}" / "part-0.parquet"

    def days(self) -> tuple[str, ...]:
        """The days that have a file, oldest first."""
        found = self.root.glob("spans/date=*/part-0.parquet")
        return tuple(sorted(path.parent.name.removeprefix("date=") for path in found))

    def mark(self) -> Mark | None:
        """How far the ledger was read; None when that is not known, or the files do not fit it any more."""
        try:
            said: dict[str, Any] = json.loads(self._mark.read_text())
            mark = Mark(
                said["seq"], said["span"], said["started_at"], tuple(said["days"]),
                said["trace_schema"],
            )  # fmt: skip
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        fits = mark.trace_schema == TRACE_SCHEMA and set(mark.days) <= set(self.days())
        return mark if fits else None

    def put_mark(self, mark: Mark) -> None:
        """From here the next export goes on."""
        self._replace(self._mark, json.dumps(asdict(mark), sort_keys=True).encode())

    def empty(self) -> None:
        """Take away all spans; from the first day gone on the mark fits no more."""
        for day in self.days():
            self.day(day).unlink()
            with suppress(OSError):
                self.day(day).parent.rmdir()

    def put_schema(self) -> None:
        """The file that says what the columns are."""
        self.put(self.root / "spans" / "schema.parquet", SPANS.empty_table())

    def put(self, path: Path, table: pa.Table) -> None:
        """A table as one zstd file; the same rows give the same bytes."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self._replace(path, sink.getvalue().to_pybytes())

    def read(self, path: Path, schema: pa.Schema) -> pa.Table:
        """The rows of a file, none when there is no file. Raises `StoreError` for a damaged one."""
        return self._read(path, schema, None)

    def columns(self, path: Path, schema: pa.Schema, names: Sequence[str]) -> pa.Table:
        """These columns of a file of that schema alone; the others stay on the disk. Raises as `read`."""
        return self._read(path, pa.schema([schema.field(name) for name in names]), names)

    def _read(self, path: Path, schema: pa.Schema, names: Sequence[str] | None) -> pa.Table:
        if not path.exists():
            return schema.empty_table()
        try:
            return pq.ParquetFile(path).read(columns=names).cast(schema)
        except (pa.ArrowException, ValueError) as error:
            raise StoreError(
                f"lake file '{path}' cannot be read: {error}. Delete '{self.root}'; the next export "
                "makes it again from the ledger."
            ) from error

    @property
    def _mark(self) -> Path:
        return self.root / "watermark.json"

    def _replace(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + ".tmp")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
