"""How does a store come to have millions of calls on its ledger within minutes?

SQLite itself makes the rows, in the order of their keys: twenty settled calls an item, each with its journal row and
four charges. The items' ids are spread over all there can be, so that new ones fall between them, as real ones do.
"""

import sqlite3
from pathlib import Path

CALLS, BATCH = 20, 1_000_000
_ALL_IDS = 16**12

_NUMBERS = (
    "WITH RECURSIVE n(i) AS (SELECT :since UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :until),"
    " c AS (SELECT i, printf('i%012x', i / :calls * :gap) AS item, 'r' || (i / :calls / 50) AS run,"
    " 10 + i % :calls AS step FROM n)"
)
_KEY = "item || '-1-lead-' || step || '-0'"
_HASH = "'sha256:' || printf('%064x', i)"
_STATEMENTS = (
    f"{_NUMBERS} INSERT INTO ledger (key, attempt, seq, run, owner, name, loop, loop_owner, team, agent,"
    " role, fence, send_by, lease, status, started_at, ended_at, usage, reserved, cost, cost_status, price,"
    " response_model, span, parent_span, trace, attributes)"
    f" SELECT {_KEY}, 1, i + 1, run, item, 'claude-sonnet-4-6', 'triage', 'noor', 'platform', 'lead', 'lead',"
    " 1, 9, 9, 'done', i, i, '{\"input_tokens\":4000,\"output_tokens\":300}', 10000000000, 1000000000,"
    " 'priced', '{\"price_book\":\"genai-prices\"}', 'claude-sonnet-4-6', printf('%016x', i),"
    " printf('%016x', i / :calls), printf('%032x', i / 1000), '{}' FROM c",
    f"{_NUMBERS} INSERT INTO journal (key, run, owner, round, lane, step, ordinal, kind, name, rule, head, args,"
    " args_digest, repeatable, status, attempts, intended_at, done_at, result, result_digest, head_after,"
    f" labels) SELECT {_KEY}, run, item, 1, 'lead', step, 0, 'model', 'claude-sonnet-4-6',"
    f" 'the loop names this model', {_HASH}, '{{}}', {_HASH}, 1, 'done', 1, i, i, '{{}}', {_HASH}, {_HASH}, '[]'"
    " FROM c",
    f"{_NUMBERS}, u(unit) AS (VALUES ('calls'), ('steps'), ('tokens'), ('usd'))"
    " INSERT INTO charges (key, attempt, budget, period, amount, status)"
    f" SELECT {_KEY}, 1, 'run:' || run || ':' || unit, run, 1, 'spent' FROM c, u",
)


def fill(path: Path, rows: int) -> None:
    """Put that many settled calls into a new store."""
    sql = sqlite3.connect(path, isolation_level=None)
    sql.execute("PRAGMA journal_mode = OFF")
    sql.execute("PRAGMA synchronous = OFF")
    sql.execute("PRAGMA cache_size = -262144")
    gap = _ALL_IDS // max(1, rows // CALLS)
    sql.execute("BEGIN")
    for since in range(0, rows, BATCH):
        told = {"since": since, "until": min(rows, since + BATCH), "calls": CALLS, "gap": gap}
        for statement in _STATEMENTS:
            sql.execute(statement, told)
    sql.execute("UPDATE counters SET value = :rows WHERE name = 'settled'", {"rows": rows})
    sql.execute("COMMIT")
    sql.execute("PRAGMA journal_mode = WAL")
    sql.close()
