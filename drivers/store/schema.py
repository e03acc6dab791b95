"""Which tables does the store have?

These are the tables of the first release and stay as they are: a change is a new migration in `migrations`.
Times are Unix milliseconds, UTC; money is whole pico-USD. A column of JSON holds its canonical spelling, or the
digest of the blob that holds it (`bodies`).
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.sql.elements import ColumnElement

metadata = MetaData()


def _text(name: str, *, null: bool = False, primary_key: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, primary_key=primary_key)


def _int(name: str, *, null: bool = False, primary_key: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=null, primary_key=primary_key, autoincrement=False)


def _seq() -> Column[int]:
    # SQLite counts by itself only in a column declared INTEGER.
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True)


definitions = Table(
    "definitions", metadata,
    _text("digest", primary_key=True), _text("kind"), _text("name"), _text("body"),
    _text("pinned_by"), _int("pinned_at"),
)  # fmt: skip
in_force = Table(
    "in_force", metadata,
    _text("kind", primary_key=True), _text("name", primary_key=True), _text("digest"), _int("since"),
)  # fmt: skip
audit = Table(
    "audit", metadata,
    _seq(), _int("at"), _text("who"), _text("what"), _text("subject"), _text("detail"),
)  # fmt: skip
counters = Table("counters", metadata, _text("name", primary_key=True), _int("value"))
"""A counter is a locked row: numbers are given in the order of commits, so a reader that goes on after a number misses none."""

runs = Table(
    "runs", metadata,
    _text("run", primary_key=True), _text("loop"), _text("slot"), _text("flow_run"),
    _text("definition"), _text("status"), _int("open_items"), _int("opened_at"),
    _int("found_at", null=True), _int("closed_at", null=True),
    _text("stop_reason", null=True), _text("stop_detail", null=True), _text("summary", null=True),
    UniqueConstraint("loop", "slot"),
    Index("runs_opened", "opened_at"),
)  # fmt: skip
states = Table(
    "states", metadata,
    _text("loop", primary_key=True), _int("version", primary_key=True), _text("body"), _int("at"),
    _text("said_by"),
)  # fmt: skip
items = Table(
    "items", metadata,
    _text("item", primary_key=True), _int("nth"), _text("loop"), _text("dedupe"), _text("run"), _text("finding"),
    _text("status"), _text("definition"), _text("flow_run", null=True), _int("round"), _int("life"),
    _int("fence"), _int("lease", null=True), _int("life_at", null=True), _int("awake_ms"),
    _text("base", null=True), _text("tree", null=True), _text("state", null=True),
    _text("stop_reason", null=True), _text("stop_detail", null=True), _text("outcome", null=True),
    _int("found_at"), _int("closed_at", null=True), _text("posted_key", null=True), _int("posted_n"),
    Index("items_run", "run"),
    Index("items_found", "found_at"),
)  # fmt: skip


def _open_item() -> ColumnElement[bool]:
    return items.c.status.not_in(["done", "stopped"])


Index(
    "items_open", items.c.loop, items.c.dedupe, unique=True,
    sqlite_where=_open_item(), postgresql_where=_open_item(),
)  # fmt: skip
journal = Table(
    "journal", metadata,
    _text("key", primary_key=True), _text("run"), _text("owner"), _int("round"), _text("lane"),
    _int("step"), _int("ordinal"), _text("kind"), _text("name"), _text("rule"), _text("head"),
    _text("args"), _text("args_digest"), _text("status"), _int("repeatable"), _int("attempts"), _int("intended_at"),
    _int("done_at", null=True), _text("result", null=True), _text("result_digest", null=True),
    _text("head_after", null=True), _text("labels", null=True), _text("tree", null=True),
    _text("state", null=True),
    UniqueConstraint("owner", "round", "lane", "step", "ordinal"),
)  # fmt: skip
ledger = Table(
    "ledger", metadata,
    _text("key", primary_key=True), _int("attempt", primary_key=True), _int("seq", null=True),
    _text("run"), _text("owner"), _text("name"), _text("loop"), _text("loop_owner"), _text("team"),
    _text("agent"), _text("role"), _int("fence"), _int("send_by"), _int("lease"), _text("status"),
    _int("started_at"), _int("ended_at", null=True), _text("usage"), _int("reserved"),
    _int("cost", null=True), _text("cost_status"), _text("price"),
    _text("response_model", null=True), _text("span"), _text("parent_span"), _text("trace"),
    _text("error", null=True), _text("attributes"),
    UniqueConstraint("seq"),
    Index("ledger_run", "run"),
    Index("ledger_owner", "owner"),
)  # fmt: skip


def _open_try() -> ColumnElement[bool]:
    return ledger.c.status == "open"


Index("ledger_open", ledger.c.lease, sqlite_where=_open_try(), postgresql_where=_open_try())
budgets = Table(
    "budgets", metadata,
    _text("budget", primary_key=True), _text("period", primary_key=True), _int("cap"), _int("held"),
    _int("spent"), _int("unknown"),
)  # fmt: skip
charges = Table(
    "charges", metadata,
    _text("key", primary_key=True), _int("attempt", primary_key=True),
    _text("budget", primary_key=True), _text("period", primary_key=True), _int("amount"),
    _text("status"),
)  # fmt: skip
evidence = Table(
    "evidence", metadata,
    _seq(), _text("item"), _text("key"), _text("kind"), _text("tree"), _text("verdict"),
    _text("said_by"), _text("detail"), _int("at"),
    Index("evidence_item", "item"),
)  # fmt: skip
cards = Table(
    "cards", metadata,
    _text("card", primary_key=True), _text("item"), _text("run"), _text("loop"), _text("kind"),
    _text("key"), _text("tool"), _text("arguments"), _text("args_digest"), _text("tool_digest"),
    _text("policy_digest"), _text("tree", null=True), _text("principal"), _text("why"),
    _text("evidence"), _int("cost"), _text("diff", null=True), _text("reach"), _int("asked_at"),
    _int("deadline", null=True), _text("on_deadline", null=True), _int("not_before", null=True),
    _int("posted_n"), _text("answer", null=True), _text("answered_by", null=True),
    _text("reason", null=True), _int("answered_at", null=True), _text("used_by", null=True),
    Index("cards_item", "item"),
)  # fmt: skip
askers = Table("askers", metadata, _text("card", primary_key=True), _text("key", primary_key=True))
"""The effects that asked for a card: the same action proposed from two places shares one, and the first uses it."""

outbox = Table(
    "outbox", metadata,
    _seq(), _text("kind"), _text("key"), _text("payload"), _int("sent_at", null=True),
    UniqueConstraint("kind", "key"),
)  # fmt: skip


def _unsent() -> ColumnElement[bool]:
    return outbox.c.sent_at.is_(None)


Index("outbox_unsent", outbox.c.seq, sqlite_where=_unsent(), postgresql_where=_unsent())
