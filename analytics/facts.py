"""What became of runs and items, and what was established about them?

Small facts beside the spans, written whole at each export. Titles, briefs and details are content and stay out.
"""

import asyncio

import pyarrow as pa

from analytics.schema import EVIDENCE, ITEMS, RUNS
from governance.memory import Store
from governance.parts import Json
from governance.records import ItemRow, RunRow

ALL = 2**62
"""More rows than any store holds: a fact table is whole or wrong."""
AT_ONCE = 256
"""Items whose evidence is asked for together."""


async def read_facts(store: Store) -> dict[str, pa.Table]:
    """`runs`, `items` and `evidence` by name, in an order that does not depend on the reading."""
    items = sorted(await store.items(limit=ALL), key=lambda i: (i.found_at, i.item))
    runs = sorted(await store.runs(limit=ALL), key=lambda r: (r.opened_at, r.run))
    return {
        "runs": pa.Table.from_pylist([_run(run) for run in runs], schema=RUNS),
        "items": pa.Table.from_pylist([_item(item) for item in items], schema=ITEMS),
        "evidence": pa.Table.from_pylist(await _evidence(store, items), schema=EVIDENCE),
    }


async def _evidence(store: Store, items: list[ItemRow]) -> list[Json]:
    found: list[Json] = []
    # An item that was never claimed has none.
    claimed = [item.item for item in items if item.life]
    for start in range(0, len(claimed), AT_ONCE):
        names = claimed[start : start + AT_ONCE]
        for name, said in zip(
            names, await asyncio.gather(*(store.evidence(n) for n in names)), strict=True
        ):
            found += [
                {"item": name, "nth": n, "kind": e.kind, "tree": e.tree, "verdict": e.verdict, "by": e.by}
                for n, e in enumerate(said, 1)
            ]  # fmt: skip
    return found


def _run(run: RunRow) -> Json:
    return {
        "run": run.run, "loop": run.loop, "slot": run.slot, "status": run.status,
        "open_items": run.open_items, "opened_at_ms": run.opened_at, "closed_at_ms": run.closed_at,
        "stop_reason": run.stop.reason if run.stop else None,
    }  # fmt: skip


def _item(item: ItemRow) -> Json:
    return {
        "item": item.item, "loop": item.loop, "run": item.run, "status": item.status,
        "stop_reason": item.stop.reason if item.stop else None, "rounds": item.round,
        "lives": item.life, "awake_ms": item.awake_ms, "found_at_ms": item.found_at,
        "closed_at_ms": item.closed_at,
    }  # fmt: skip
