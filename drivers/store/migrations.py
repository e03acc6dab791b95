"""What has to happen to a database before this version may use it?

Append-only: a migration that was released never changes. Each runs once, by name, and all of them in the
transaction that opens the store.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from drivers.store.schema import metadata
from drivers.store.sql import Sql
from governance.errors import StoreError


@dataclass(frozen=True)
class Migration:
    """A named change: DDL compiled for the dialect at hand, or plain SQL."""

    name: str
    steps: tuple[ExecutableDDLElement | str, ...]


def _everything() -> Iterable[ExecutableDDLElement]:
    for table in metadata.sorted_tables:
        yield CreateTable(table)
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            yield CreateIndex(index)


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "0001-first-tables",
        (*_everything(), "INSERT INTO counters (name, value) VALUES ('settled', 0)"),
    ),
    Migration(
        "0002-triggers",
        (
            "ALTER TABLE runs ADD COLUMN lease BIGINT",
            "ALTER TABLE runs ADD COLUMN payload TEXT",
            # How far `once` and `all` have dealt with the slots of a loop, as its schedule is read now.
            "CREATE TABLE calendars (loop TEXT PRIMARY KEY, calendar TEXT NOT NULL, upto BIGINT NOT NULL)",
            "CREATE TABLE deliveries (loop TEXT NOT NULL, delivery TEXT NOT NULL, signed TEXT NOT NULL,"
            " content TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (loop, delivery))",
            "CREATE TABLE breakers (loop TEXT NOT NULL, nth BIGINT NOT NULL, run TEXT NOT NULL,"
            " why TEXT NOT NULL, at BIGINT NOT NULL, resumed_at BIGINT, resumed_by TEXT, reason TEXT,"
            " PRIMARY KEY (loop, nth))",
            "CREATE INDEX runs_flow_run ON runs (flow_run)",
        ),
    ),
    Migration(
        "0003-who-lives-and-what-is-known",
        (
            "CREATE TABLE lives (item TEXT NOT NULL, fence BIGINT NOT NULL, at BIGINT NOT NULL,"
            " process TEXT NOT NULL, PRIMARY KEY (item, fence))",
            "ALTER TABLE cards ADD COLUMN facts TEXT",
            "ALTER TABLE cards ADD COLUMN result TEXT",
            "ALTER TABLE items ADD COLUMN restarts TEXT",
            "ALTER TABLE items ADD COLUMN noted TEXT",
            # Before, a doubt was answered like an approval: yes was "start it once more".
            "UPDATE cards SET answer = 'not-happened' WHERE kind = 'in_doubt' AND answer = 'approve'",
            "UPDATE cards SET answer = 'abandon' WHERE kind = 'in_doubt' AND answer = 'reject'",
        ),
    ),
    Migration(
        "0004-restores",
        (
            "CREATE TABLE restores (epoch BIGINT NOT NULL PRIMARY KEY, taken_at BIGINT NOT NULL,"
            " restored_at BIGINT NOT NULL, said_by TEXT NOT NULL)",
            "CREATE TABLE restored (item TEXT NOT NULL PRIMARY KEY, epoch BIGINT NOT NULL)",
        ),
    ),
    Migration(
        "0005-seals",
        # Rows that are there already get none: nobody could say that they are what was written.
        (
            "ALTER TABLE journal ADD COLUMN seal TEXT",
            "ALTER TABLE cards ADD COLUMN seal TEXT",
        ),
    ),
    Migration(
        "0006-what-a-pause-switched-off",
        # NULL for a pause of before, and for one whose schedules were not switched off yet.
        ("ALTER TABLE breakers ADD COLUMN schedules TEXT",),
    ),
    Migration(
        "0007-forgotten-in-portions",
        (
            # What ended before which moment was forgotten with it.
            "ALTER TABLE items ADD COLUMN forgotten BIGINT",
            "ALTER TABLE runs ADD COLUMN forgotten BIGINT",
            "CREATE INDEX items_kept ON items (closed_at) WHERE forgotten IS NULL",
            "CREATE INDEX runs_kept ON runs (closed_at) WHERE forgotten IS NULL",
        ),
    ),
    Migration(
        "0008-who-kept-house-last",
        ("CREATE TABLE housekeepings (flow_run TEXT NOT NULL PRIMARY KEY, at BIGINT NOT NULL)",),
    ),
    Migration(
        "0009-rules-about-spending",
        (
            "CREATE TABLE budget_rules (rule TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL,"
            " since BIGINT NOT NULL, said_by TEXT NOT NULL)",
            # Why nothing is drawn on it any more, whatever room it has.
            "ALTER TABLE budgets ADD COLUMN stopped TEXT",
        ),
    ),
    Migration(
        "0010-list-prices-and-rerates",
        (
            "ALTER TABLE ledger ADD COLUMN list_cost BIGINT",
            # Until now every cost was one at list price.
            "UPDATE ledger SET list_cost = cost WHERE cost IS NOT NULL",
            "CREATE TABLE rerates (rerate TEXT NOT NULL PRIMARY KEY, at BIGINT NOT NULL, said_by TEXT NOT NULL,"
            " why TEXT NOT NULL, done_at BIGINT)",
            "CREATE TABLE rerated (rerate TEXT NOT NULL, key TEXT NOT NULL, attempt BIGINT NOT NULL,"
            " cost BIGINT, list_cost BIGINT, cost_status TEXT NOT NULL, price TEXT NOT NULL,"
            " PRIMARY KEY (rerate, key, attempt))",
        ),
    ),
    Migration(
        "0011-reconciled",
        (
            # A day's bill is compared with the calls of that day.
            "CREATE INDEX ledger_started ON ledger (started_at)",
            "CREATE INDEX ledger_unknown ON ledger (started_at) WHERE status = 'unknown'",
            "CREATE TABLE reconciled (model TEXT NOT NULL, first_day TEXT NOT NULL, last_day TEXT NOT NULL,"
            " state TEXT NOT NULL, told TEXT NOT NULL, at BIGINT NOT NULL, said_by TEXT NOT NULL,"
            " PRIMARY KEY (model, first_day, last_day))",
        ),
    ),
    Migration(
        "0012-raised-caps",
        (
            # `base` is the cap without any raise; `ended_at` is when its time was over.
            "CREATE TABLE raises (nth BIGINT NOT NULL PRIMARY KEY, budget TEXT NOT NULL, period TEXT NOT NULL,"
            " base BIGINT NOT NULL, cap BIGINT NOT NULL, why TEXT NOT NULL, said_by TEXT NOT NULL,"
            " at BIGINT NOT NULL, until BIGINT, ended_at BIGINT)",
            "CREATE INDEX raises_budget ON raises (budget, period)",
            "CREATE INDEX raises_due ON raises (until) WHERE ended_at IS NULL",
            # The cap that stopped an item; items of before have none, and are not resumed.
            "ALTER TABLE items ADD COLUMN capped_by TEXT",
            "ALTER TABLE items ADD COLUMN capped_in TEXT",
            "CREATE INDEX items_capped ON items (capped_by) WHERE capped_by IS NOT NULL",
            "CREATE INDEX budgets_period ON budgets (period)",
            "ALTER TABLE runs ADD COLUMN reopened BIGINT",
        ),
    ),
    Migration(
        "0013-meter",
        (
            # What was settled on a UTC day, added up as it is settled: to read it is no scan of the ledger.
            "CREATE TABLE meter (day BIGINT NOT NULL, run TEXT NOT NULL, agent TEXT NOT NULL,"
            " model TEXT NOT NULL, loop TEXT NOT NULL, loop_owner TEXT NOT NULL, team TEXT NOT NULL,"
            " tries BIGINT NOT NULL, cost BIGINT NOT NULL, unknown BIGINT NOT NULL, unpriced BIGINT NOT NULL,"
            " PRIMARY KEY (day, run, agent, model))",
            "CREATE INDEX meter_run ON meter (run)",
            "INSERT INTO meter (day, run, agent, model, loop, loop_owner, team, tries, cost, unknown, unpriced)"
            " SELECT l.ended_at / 86400000, l.run, l.agent, CASE WHEN j.kind = 'model' THEN l.name ELSE '' END,"
            " min(l.loop), min(l.loop_owner), min(l.team), count(*), coalesce(sum(l.cost), 0),"
            " sum(CASE WHEN l.status = 'unknown' THEN l.reserved ELSE 0 END),"
            " sum(CASE WHEN l.cost_status = 'unpriced' THEN 1 ELSE 0 END)"
            " FROM ledger l JOIN journal j ON j.key = l.key WHERE l.ended_at IS NOT NULL"
            " GROUP BY l.ended_at / 86400000, l.run, l.agent, CASE WHEN j.kind = 'model' THEN l.name ELSE '' END",
            # From how much on a run is told of as a spike; -1 for not at all.
            "ALTER TABLE runs ADD COLUMN spike_at BIGINT",
            "CREATE INDEX runs_open ON runs (opened_at) WHERE status = 'open'",
            "CREATE INDEX runs_loop ON runs (loop, opened_at)",
        ),
    ),
    Migration(
        "0014-fan-outs",
        (
            "CREATE TABLE fan_out_rules (rule TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL,"
            " since BIGINT NOT NULL, said_by TEXT NOT NULL)",
            # What a heartbeat found that was new, with its price; `refused_by` are the rules it was above.
            "CREATE TABLE fan_outs (run TEXT NOT NULL PRIMARY KEY, loop TEXT NOT NULL, price TEXT NOT NULL,"
            " told TEXT NOT NULL, refused_by TEXT NOT NULL, at BIGINT NOT NULL, answer TEXT, said_by TEXT,"
            " why TEXT, answered_at BIGINT)",
            "CREATE INDEX fan_outs_kept_back ON fan_outs (at) WHERE refused_by <> '[]' AND answer IS NULL",
            # What items of a loop cost lately is looked up before each fan-out.
            "CREATE INDEX items_closed ON items (loop, closed_at, item) WHERE closed_at IS NOT NULL",
        ),
    ),
    Migration(
        "0015-waits-for-room",
        (
            # The budgets an item that waits wants room in, and how long it waited for any before.
            "ALTER TABLE items ADD COLUMN waits TEXT",
            "ALTER TABLE items ADD COLUMN waited_ms BIGINT",
            "CREATE INDEX items_waits ON items (item) WHERE waits IS NOT NULL",
        ),
    ),
    Migration(
        "0016-meter-by-the-day-of-the-call",
        (
            # It was by the day of the settling, and knew only models as unpriced. What a model call notes of itself
            # says which rows are of one.
            "DELETE FROM meter",
            "INSERT INTO meter (day, run, agent, model, loop, loop_owner, team, tries, cost, unknown, unpriced)"
            " SELECT started_at / 86400000, run, agent, CASE WHEN attributes LIKE '%\"gen_ai.request.model\"%'"
            " THEN name ELSE '' END, min(loop), min(loop_owner), min(team), count(*), coalesce(sum(cost), 0),"
            " sum(CASE WHEN status = 'unknown' THEN reserved ELSE 0 END),"
            " sum(CASE WHEN cost_status IN ('unpriced', 'undeclared') THEN 1 ELSE 0 END)"
            " FROM ledger WHERE ended_at IS NOT NULL"
            " GROUP BY started_at / 86400000, run, agent, CASE WHEN attributes LIKE"
            " '%\"gen_ai.request.model\"%' THEN name ELSE '' END",
        ),
    ),
)


def migrate(sql: Sql, dialect: Dialect, migrations: tuple[Migration, ...] = MIGRATIONS) -> None:
    """Apply what this database lacks. Raises `StoreError` when it knows a migration that we do not."""
    sql.run("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY)")
    applied = {row["name"] for row in sql.all("SELECT name FROM migrations")}
    ahead = sorted(applied - {m.name for m in migrations})
    if ahead:
        raise StoreError(
            f"the store was written by a newer Looprail: migration {ahead[0]!r} is not among the "
            f"{len(migrations):,} this one knows. Upgrade this installation; nothing was changed."
        )
    for migration in migrations:
        if migration.name not in applied:
            for step in migration.steps:
                sql.run(step if isinstance(step, str) else str(step.compile(dialect=dialect)))
            sql.run("INSERT INTO migrations (name) VALUES (:name)", name=migration.name)
