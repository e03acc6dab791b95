"""What does the forge remember over a restart?"""

import json
import sqlite3
from pathlib import Path
from typing import Any

Row = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS issues(
  number INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL, author TEXT NOT NULL,
  state TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pulls(
  number INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL, head TEXT NOT NULL, base TEXT NOT NULL,
  state TEXT NOT NULL, merge_commit TEXT);
CREATE TABLE IF NOT EXISTS comments(
  id INTEGER PRIMARY KEY, subject TEXT NOT NULL, author TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tickets(
  id TEXT PRIMARY KEY, title TEXT NOT NULL, description TEXT NOT NULL, reporter TEXT NOT NULL,
  state TEXT NOT NULL, labels TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS runs(
  id INTEGER PRIMARY KEY, commit_id TEXT NOT NULL, status TEXT NOT NULL, seconds REAL, log TEXT NOT NULL,
  failures TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls(
  id INTEGER PRIMARY KEY, connector TEXT NOT NULL, tool TEXT NOT NULL, key TEXT, arguments TEXT NOT NULL,
  is_error INTEGER NOT NULL, replayed INTEGER NOT NULL, result TEXT NOT NULL);
"""

_ISSUES = (
    (1, "Rounding of discounts looks off by a cent", "A customer compared two invoices: 5 % of 1.50.", "theo"),
    (2, "Document the bulk discount", "The README does not say that ten and more are cheaper.", "ines"),
)  # fmt: skip
_TICKETS = (
    ("NW-101", "Promised for a Saturday", "My order was promised for Saturday and nobody came.", "a.berg@customer.example", "new"),
    ("NW-102", "How do I change my delivery address?", "I moved last week. Order 88213.", "lena@customer.example", "new"),
    ("NW-103", "Checkout is slow", "The price takes ten seconds to appear, then a timeout.", "ops@customer.example", "new"),
    ("NW-104", "One cent too much", "5 % off 1.50 should be 1.42, the invoice says 1.43.", "k.ito@customer.example", "new"),
    ("NW-098", "Teapot arrived broken", "Replaced on 2 March.", "j.silva@customer.example", "closed"),
)  # fmt: skip


class State:
    """The forge's rows, in one SQLite file. Every method is one statement; `transaction` joins several."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "PRAGMA synchronous=NORMAL"
        )  # survives a killed process, if not a lost power
        self._db.executescript(_SCHEMA)
        self._seed()

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def begin(self) -> None:
        """Start a transaction."""
        self._db.execute("BEGIN IMMEDIATE")

    def end(self, *, keep: bool) -> None:
        """Commit or take back what was done since `begin`."""
        self._db.execute("COMMIT" if keep else "ROLLBACK")

    def rows(self, sql: str, *values: object) -> tuple[Row, ...]:
        """Every row as a mapping."""
        return tuple(dict(row) for row in self._db.execute(sql, values))

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row, if any."""
        return next(iter(self.rows(sql, *values)), None)

    def write(self, sql: str, *values: object) -> int:
        """Run one statement; the id of the row it inserted."""
        return self._db.execute(sql, values).lastrowid or 0

    def _seed(self) -> None:
        if self.row("SELECT 1 FROM tickets") is not None:
            return
        for issue in _ISSUES:
            self.write("INSERT INTO issues VALUES (?, ?, ?, ?, 'open')", *issue)
        for ticket in _TICKETS:
            self.write("INSERT INTO tickets VALUES (?, ?, ?, ?, ?, ?)", *ticket, json.dumps([]))
