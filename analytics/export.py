"""What happened, as files that anybody's SQL can read?

The ledger is read in the order it was settled, from where the last export ended; each page goes into the files of
the UTC days its spans began on. A row that comes late, or changes once more, rewrites one day. A file depends on
the day's rows alone, so the same ledger gives the same bytes whatever was exported when.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import pyarrow as pa

from analytics.facts import read_facts
from analytics.lake import Lake, Mark
from analytics.parents import parents_table
from analytics.schema import SPANS, spans_table
from drivers.locks import held
from governance.memory import Store
from governance.records import LedgerRow
from governance.trace import span_of

PAGE = 20_000
"""Ledger rows in memory at once."""


@dataclass(frozen=True)
class Exported:
    """What an export did: rows read, days written, and whether the lake was made anew."""

    rows: int
    days: tuple[str, ...]
    rebuilt: bool


async def export(
    store: Store, lake: Lake, *, tell: Callable[[int], None] | None = None, page: int = PAGE
) -> Exported:
    """Bring the lake up to date with the store. One export at a time; a second waits for the first.

    `tell` hears, after each page, how many rows were read so far. Safe to repeat and to kill: a lake without its
    watermark, with a day missing, or made from another ledger is made again.

    Raises:
        StoreError: The store or a file of the lake cannot be read.
    """
    async with held(lake.root / ".lock"):
        # Facts are read before spans: an item that counts as accepted has all its cost in the lake.
        facts = await read_facts(store)
        mark = await _where_to_go_on(store, lake)
        if mark is None:
            lake.empty()
            lake.put_schema()
        done = await _spans(store, lake, mark, tell or (lambda rows: None), page)
        for name, table in facts.items():
            lake.put(lake.root / f"{name}.parquet", table)
        lake.put(lake.root / "parents.parquet", parents_table(lake, facts))
        return done


async def _where_to_go_on(store: Store, lake: Lake) -> Mark | None:
    """The watermark, if this ledger is the one it was made from.

    A store that was restored from a backup, or made anew in its old place, would leave rows in the lake that no
    ledger has. In the true one the marked row is where it was, or was settled once more and stands further on.
    """
    mark = lake.mark()
    if mark is None:
        return None
    after, size = mark.seq - 1, 1
    while rows := await store.ledger(after_seq=after, limit=size):
        if any((row.span, row.started_at) == (mark.span, mark.started_at) for row in rows):
            return mark
        if rows[0].seq == mark.seq:
            return None
        after, size = rows[-1].seq, PAGE
    return None


async def _spans(
    store: Store, lake: Lake, mark: Mark | None, tell: Callable[[int], None], page: int
) -> Exported:
    after, read = mark.seq if mark else 0, 0
    touched: set[str] = set()
    while rows := await store.ledger(after_seq=after, limit=page):
        for day, of_day in groupby(sorted(rows, key=_day), key=_day):
            _merge(lake, day, list(of_day))
            touched.add(day)
        last = rows[-1]
        lake.put_mark(Mark(last.seq, last.span, last.started_at, lake.days()))
        after, read = last.seq, read + len(rows)
        tell(read)
    return Exported(read, tuple(sorted(touched)), rebuilt=mark is None)


def _day(row: LedgerRow) -> str:
    return datetime.fromtimestamp(row.started_at / 1000, UTC).date().isoformat()


def _merge(lake: Lake, day: str, rows: Sequence[LedgerRow]) -> None:
    """The day's file with these rows in it; of each span the row settled last."""
    there = lake.read(lake.day(day), SPANS)
    table = pa.concat_tables([there, spans_table([span_of(row) for row in rows])])
    table = table.sort_by("seq")
    newest = {span: at for at, span in enumerate(table["span_id"].to_pylist())}
    table = table.take(list(newest.values()))
    table = table.sort_by([("start_time_unix_nano", "ascending"), ("span_id", "ascending")])
    lake.put(lake.day(day), table.combine_chunks().replace_schema_metadata(SPANS.metadata))
