"""How does a store come to have millions of calls on its ledger within minutes?

The database itself makes the rows, in the order of their keys: twenty settled calls an item, each with its journal row
and four charges. The items' ids are spread over all there can be, so that new ones fall between them, as real ones do.
"""

import sqlite3
from collections.abc import Callable

from benchmarks.ledger_homes import Home
from drivers.store.postgres_sql import PostgresSql
from drivers.store.sql import Value, numbered

CALLS, BATCH = 20, 1_000_000
_ALL_IDS = 16**12

_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT :since UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :until)",
    "postgres": "WITH n(i) AS (SELECT generate_series(CAST(:since AS BIGINT), CAST(:until AS BIGINT) - 1))",
}
_HEX: dict[str, Callable[[int, str], str]] = {
    "sqlite": lambda width, number: f"printf('%0{width}x', {number})",
    "postgres": lambda width, number: f"lpad(to_hex({number}), {width}, '0')",
}


def _statements(on: str) -> tuple[str, ...]:
    def spelled(width: int, number: str) -> str:
        return _HEX[on](width, number)

    calls = (
        f"{_NUMBERS[on]}, c AS (SELECT i, 'i' || {spelled(12, f'i / {CALLS} * :gap')} AS item,"
        f" 'r' || (i / {CALLS} / 50) AS run, 10 + i % {CALLS} AS step FROM n)"
    )
    key = "item || '-1-lead-' || step || '-0'"
    digest = f"'sha256:' || {spelled(64, 'i')}"
    return (
        "INSERT INTO ledger (key, attempt, seq, run, owner, name, loop, loop_owner, team, agent,"
        " role, fence, send_by, lease, status, started_at, ended_at, usage, reserved, cost, cost_status, price,"
        f" response_model, span, parent_span, trace, attributes) {calls}"
        f" SELECT {key}, 1, i + 1, run, item, 'claude-sonnet-4-6', 'triage', 'noor', 'platform', 'lead', 'lead',"
        " 1, 9, 9, 'done', i, i, '{\"input_tokens\":4000,\"output_tokens\":300}', 10000000000, 1000000000,"
        f" 'priced', '{{\"price_book\":\"genai-prices\"}}', 'claude-sonnet-4-6', {spelled(16, 'i')},"
        f" {spelled(16, f'i / {CALLS}')}, {spelled(32, 'i / 1000')}, '{{}}' FROM c",
        "INSERT INTO journal (key, run, owner, round, lane, step, ordinal, kind, name, rule, head, args,"
        " args_digest, repeatable, status, attempts, intended_at, done_at, result, result_digest, head_after,"
        f" labels) {calls} SELECT {key}, run, item, 1, 'lead', step, 0, 'model', 'claude-sonnet-4-6',"
        f" 'the loop names this model', {digest}, '{{}}', {digest}, 1, 'done', 1, i, i, '{{}}', {digest},"
        f" {digest}, '[]' FROM c",
        f"INSERT INTO charges (key, attempt, budget, period, amount, status) {calls},"
        " u(unit) AS (VALUES ('calls'), ('steps'), ('tokens'), ('usd'))"
        f" SELECT {key}, 1, 'run:' || run || ':' || unit, run, 1, 'spent' FROM c, u",
    )


def fill(home: Home, rows: int) -> None:
    """Put that many settled calls into a new store."""
    if home.on == "sqlite":
        sql = sqlite3.connect(home.file, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -262144"):
            sql.execute(f"PRAGMA {pragma}")

        def say(statement: str, **values: Value) -> None:
            text, names = numbered(statement, "?")
            sql.execute(text, [values[name] for name in names])

        say("BEGIN")
        _put(home, rows, say)
        say("COMMIT")
        say("PRAGMA journal_mode = WAL")
        sql.close()
        return
    server = PostgresSql(home.url, 1800.0, patient=True, settings={"synchronous_commit": "off"})
    server.connect()
    _put(home, rows, server.say)
    for table in ("ledger", "journal", "charges"):
        server.say(f"VACUUM ANALYZE {table}")
    server.say("CHECKPOINT")
    server.close()


def _put(home: Home, rows: int, say: Callable[..., object]) -> None:
    gap = _ALL_IDS // max(1, rows // CALLS)
    for since in range(0, rows, BATCH):
        for statement in _statements(home.on):
            say(statement, since=since, until=min(rows, since + BATCH), gap=gap)
    say("UPDATE counters SET value = :rows WHERE name = 'settled'", rows=rows)
