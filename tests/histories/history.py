"""One item as the store had it, in a file: its journal and all that a replay of it needs, and nothing that a key opens."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from governance.conversation import ToolSpec
from governance.parts import digest
from governance.registry import SCHEMA_FILE

FOLDER = Path(__file__).parent
OF_ITEM = {
    "items": "item = :item",
    "runs": "run = (SELECT run FROM items WHERE item = :item)",
    "definitions": "digest = (SELECT definition FROM items WHERE item = :item)",
    "journal": "owner = :item",
    "ledger": "owner = :item",
    "evidence": "item = :item",
    "cards": "item = :item",
    "askers": "card IN (SELECT card FROM cards WHERE item = :item)",
}
"""What belongs to an item, by table."""

AT_ITS_BEGIN: dict[str, Any] = {
    "status": "working", "noted": None, "life": 0, "fence": 0, "lease": None, "life_at": None,
    "awake_ms": 0, "outcome": None, "stop_reason": None, "stop_detail": None, "closed_at": None,
    "posted_key": None, "posted_n": 0,
}  # fmt: skip
"""An item that is about to be replayed: what it did is on record, and no process has it."""


@dataclass(frozen=True)
class History:
    """What one item of one release did."""

    version: str
    story: str
    registry: dict[str, str]
    """Text by path below its root, as it was in force."""
    tools: dict[str, list[dict[str, Any]]]
    """What each connector offered; asked for anew on each pass, since approvals are bound to it."""
    tables: dict[str, list[dict[str, Any]]]
    bodies: dict[str, str]
    """What lay in blobs, by digest. Files of workspaces are left out: a replay opens no box."""
    ended: dict[str, Any]
    """Its status, outcome and stop, and the cards it waited for."""

    @property
    def item(self) -> str:
        return self.tables["items"][0]["item"]

    @property
    def loop(self) -> str:
        return self.tables["items"][0]["loop"]

    def specs(self, connector: str) -> tuple[ToolSpec, ...]:
        return tuple(ToolSpec(**spec) for spec in self.tools[connector])

    def save(self) -> Path:
        folder = FOLDER / self.version
        folder.mkdir(exist_ok=True)
        file = folder / f"{self.story}.json"
        file.write_text(
            json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        )
        return file


def saved() -> list[Path]:
    """Every recorded history, of every release."""
    return sorted(FOLDER.glob("*/*.json"))


def read(file: Path) -> History:
    return History(**json.loads(file.read_text()))


def taken(
    database: Path, blobs: Path, item: str, *, version: str, story: str, registry: Path,
    tools: dict[str, Iterable[ToolSpec]],
) -> History:  # fmt: skip
    """The history of an item in a store that nobody writes to."""
    with sqlite3.connect(database) as db:
        db.row_factory = sqlite3.Row
        tables = {
            table: [dict(row) for row in db.execute(f"SELECT * FROM {table} WHERE {where}", {"item": item})]
            for table, where in OF_ITEM.items()
        }  # fmt: skip
    db.close()
    (row,) = tables["items"]
    ended = {
        "status": row["status"],
        "outcome": json.loads(row["outcome"]) if row["outcome"] else None,
        "stop": row["stop_reason"],
        "cards": sorted(c["card"] for c in tables["cards"] if c["answer"] is None),
    }
    return History(
        version=version,
        story=story,
        registry={
            str(p.relative_to(registry)): p.read_text()
            for p in sorted(registry.rglob("*"))
            if p.is_file() and p.name != SCHEMA_FILE
        },
        tools={name: [asdict(spec) for spec in specs] for name, specs in tools.items()},
        tables=tables,
        bodies=dict(_bodies(tables, blobs)),
        ended=ended,
    )  # fmt: skip


def _bodies(tables: dict[str, list[dict[str, Any]]], blobs: Path) -> Iterable[tuple[str, str]]:
    columns = {"journal": ("args", "result"), "cards": ("arguments", "diff", "facts", "result")}
    for table, names in columns.items():
        for value in (row.get(name) or "" for row in tables[table] for name in names):
            if value.startswith("sha256:"):
                name = value.removeprefix("sha256:")
                text = (blobs / name[:2] / name[2:4] / name).read_text()
                assert digest(text) == value
                yield value, text


def put_back(history: History, database: Path, flow_run: str) -> None:
    """Its rows in a store of this release, the item as it was before it was taken up."""
    (row,) = history.tables["items"]
    begun = {**row, **AT_ITS_BEGIN, "flow_run": flow_run}
    (run,) = history.tables["runs"]
    tables = {
        **history.tables,
        "items": [begun],
        "runs": [{**run, "status": "open", "open_items": 1, "closed_at": None}],
    }
    with sqlite3.connect(database) as db:
        for table, rows in tables.items():
            for one in rows:
                names = ", ".join(one)
                marks = ", ".join(f":{name}" for name in one)
                db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", one)
    db.close()
