"""What is on record under an effect's key, and is it the effect that is asked for now?"""

from dataclasses import dataclass

from drivers.store.bodies import Body
from drivers.store.seals import JOURNAL
from drivers.store.sql import Row, Sql, Value
from governance.effects import Evidence, Kind, Place
from governance.errors import Diverged, StoreError
from governance.parts import canonical

_NOT_DONE: dict[str, Value] = dict.fromkeys(
    ("result_digest", "head_after", "labels", "tree", "state")
)


@dataclass(frozen=True)
class Asked:
    """What an effect is compared by on replay. Never the rendered request, and no model's name."""

    place: Place
    kind: Kind
    name: str
    head: str
    args: Body
    repeatable: bool = True
    """Whether a try nobody can vouch for may simply be made again."""

    @property
    def named(self) -> bool:
        """A tool's name is part of what is done; a model's may change under a waiting item."""
        return self.kind in ("tool", "push")


@dataclass(frozen=True)
class Done:
    """A done effect's row, its bodies still to be fetched."""

    row: Row
    written: bool = False
    """In this very transaction, by us, and whole: there is nothing to compare it with."""


@dataclass(frozen=True)
class Result:
    """What a done effect leaves behind."""

    body: Body
    head_after: str
    labels: tuple[str, ...]
    tree: str | None = None
    state: str | None = None
    evidence: tuple[Evidence, ...] = ()


def on_record(sql: Sql, asked: Asked) -> Row | None:
    """The row of this effect, or None when it is new. Raises `Diverged` when it is another effect's, `Damaged`."""
    row = sql.one("SELECT * FROM journal WHERE key = :key", key=asked.place.key)
    if row is not None:
        JOURNAL.check(row)
        recorded = _spelled(row["kind"], row["name"], row["args_digest"], row["head"], asked.named)
        now = _spelled(asked.kind, asked.name, asked.args.digest, asked.head, asked.named)
        if recorded != now:
            raise Diverged(asked.place.key, recorded, now)
    return row


def note_intent(sql: Sql, asked: Asked, *, rule: str, attempt: int, now: int) -> None:
    """The effect is intended, for the first or one more time; `on_record` has looked at the row that is there."""
    place = asked.place
    values: dict[str, Value] = {
        "key": place.key, "run": place.run, "owner": place.owner, "round": place.round, "lane": place.lane,
        "step": place.step, "ordinal": place.ordinal, "kind": asked.kind, "name": asked.name,
        "rule": rule, "head": asked.head, "args_digest": asked.args.digest, "status": "intended",
        "repeatable": int(asked.repeatable), "attempts": attempt,
    }  # fmt: skip
    sql.run(
        "INSERT INTO journal (key, run, owner, round, lane, step, ordinal, kind, name, rule, head, args,"
        " args_digest, repeatable, status, attempts, intended_at, seal)"
        " VALUES (:key, :run, :owner, :round, :lane, :step, :ordinal, :kind, :name, :rule, :head, :args,"
        " :args_digest, :repeatable, :status, :attempts, :now, :seal)"
        " ON CONFLICT (key) DO UPDATE SET status = :status, attempts = :attempts, rule = :rule,"
        " name = :name, repeatable = :repeatable, seal = :seal",
        **values, args=asked.args.column, now=now, seal=JOURNAL.seal({**_NOT_DONE, **values}),
    )  # fmt: skip


def note_doubt(sql: Sql, key: str) -> None:
    """The effect may have happened; a person must say."""
    row = sql.one("SELECT * FROM journal WHERE key = :key", key=key)
    if row is not None:
        JOURNAL.change(sql, row, status="doubt")


def note_done(sql: Sql, place: Place, result: Result, *, now: int) -> Done | None:
    """The effect's result, what it established and where it left its item; None when there was one before."""
    row = sql.one("SELECT * FROM journal WHERE key = :key", key=place.key)
    if row is None or row["status"] == "done":
        return None
    written = JOURNAL.change(
        sql, row, status="done", result=result.body.column, result_digest=result.body.digest,
        head_after=result.head_after, labels=canonical(result.labels), tree=result.tree,
        state=result.state, done_at=now,
    )  # fmt: skip
    if result.tree is not None or result.state is not None:
        sql.run(
            "UPDATE items SET tree = coalesce(:tree, tree), state = coalesce(:state, state)"
            " WHERE item = :item",
            tree=result.tree, state=result.state, item=place.owner,
        )  # fmt: skip
    for piece in result.evidence:
        sql.run(
            "INSERT INTO evidence (item, key, kind, tree, verdict, said_by, detail, at)"
            " VALUES (:item, :key, :kind, :tree, :verdict, :by, :detail, :now)",
            item=place.owner, key=place.key, kind=piece.kind, tree=piece.tree,
            verdict=piece.verdict, by=piece.by, detail=piece.detail, now=now,
        )  # fmt: skip
    return Done(written, written=written["seal"] != row["seal"])


def done_row(sql: Sql, key: str) -> Done:
    """A done effect. Raises `StoreError` when it is not."""
    row = sql.one("SELECT * FROM journal WHERE key = :key AND status = 'done'", key=key)
    if row is None:
        raise StoreError(f"effect {key!r} has no result in the journal, and one was promised.")
    return Done(row)


def _spelled(kind: str, name: str, args: str, head: str, named: bool) -> str:
    what = f"{kind} {name!r}" if named else kind
    return f"{what} with arguments {args[7:19]!r} after head {head[7:19]!r}"
