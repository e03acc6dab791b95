"""Is a row still what was written?

The seal of a row is a digest over all of it that anybody acts on; large values are in it by their own digests, or as
their column holds them. It tells of a disk, a tool or a hand that changed a row; whoever computes it anew is not
kept out (docs/security.md). Rows without one were written before there were seals, or had their content forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from drivers.store.sql import Row, Sql, Value
from governance.errors import Damaged
from governance.parts import digest


@dataclass(frozen=True)
class Sealed:
    """A table whose rows have seals. `parts` are the columns that a seal is over."""

    table: str
    key: str
    parts: tuple[str, ...]

    def seal(self, values: Row | Mapping[str, Value]) -> str:
        """The seal of a row of these values."""
        return digest([values[part] for part in self.parts])

    def check(self, row: Row) -> None:
        """Raises `Damaged` when it is another row than was written."""
        if row["seal"] is not None and row["seal"] != (found := self.seal(row)):
            raise Damaged(
                f"{row[self.key]!r} in the table {self.table!r} has seal {found!r}, and {row['seal']!r} was noted "
                "when it was written: the store was changed by something else. Restore it from a backup."
            )

    def change(self, sql: Sql, row: Row, **changes: Value) -> Row:
        """Write these columns; the row as it is then. One that was not what was written before is not made whole by it.

        It raises nothing, so that what an effect cost is settled whatever its row has become.
        """
        after = {**dict(row), **changes}
        whole = row["seal"] is None or row["seal"] == self.seal(row)
        after["seal"] = self.seal(after) if whole else row["seal"]
        sql.run(
            _update(self.table, self.key, tuple(changes)), **changes, seal=after["seal"], _key=row[self.key],
        )  # fmt: skip
        return after


@lru_cache(maxsize=64)
def _update(table: str, key: str, names: tuple[str, ...]) -> str:
    columns = ", ".join(f"{name} = :{name}" for name in names)
    return f"UPDATE {table} SET {columns}, seal = :seal WHERE {key} = :_key"


JOURNAL = Sealed(
    "journal", "key",
    ("key", "run", "owner", "round", "lane", "step", "ordinal", "kind", "name", "rule", "head", "args_digest",
     "status", "repeatable", "attempts", "result_digest", "head_after", "labels", "tree", "state"),
)  # fmt: skip
CARDS = Sealed(
    "cards", "card",
    ("card", "item", "run", "loop", "kind", "key", "tool", "args_digest", "tool_digest", "policy_digest", "tree",
     "principal", "why", "evidence", "cost", "diff", "reach", "facts", "asked_at", "deadline", "on_deadline",
     "not_before", "posted_n", "answer", "answered_by", "reason", "answered_at", "result", "used_by"),
)  # fmt: skip
