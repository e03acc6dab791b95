"""Which tree of lanes, effects and tries do a journal and its ledger make?"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from cli.cards import card_json
from cli.spent import Spent, spent
from cli.waits import waits_json
from cli.words import exact, stamp
from governance.effects import Evidence
from governance.parts import Json
from governance.records import Card, Entry, ItemRow, LedgerRow


@dataclass(frozen=True)
class Effect:
    """One effect with its tries; one without any was answered by us (a refusal, a skill, a delegation)."""

    entry: Entry
    tries: tuple[LedgerRow, ...]

    @property
    def refusal(self) -> str | None:
        """What the agent was told instead of a result, when the call was refused."""
        if "refused" not in self.entry.labels or not self.entry.result:
            return None
        return str(self.entry.result.get("text", "refused"))

    def as_json(self) -> Json:
        """For `--json` outputs."""
        entry = self.entry
        return {
            "key": entry.key,
            "kind": entry.kind,
            "name": entry.name,
            "status": entry.status,
            "refused": self.refusal,
            "tries": [_try_json(row) for row in self.tries],
        }


@dataclass
class Lane:
    """One conversation, or one fixed step of the loop, in one round; `lanes` are those of its delegates."""

    name: str
    round: int
    effects: list[Effect] = field(default_factory=list[Effect])
    lanes: list["Lane"] = field(default_factory=list["Lane"])

    def as_json(self) -> Json:
        """For `--json` outputs."""
        return {
            "lane": self.name,
            "round": self.round,
            "effects": [e.as_json() for e in self.effects],
            "lanes": [lane.as_json() for lane in self.lanes],
        }


@dataclass(frozen=True)
class ItemTrace:
    """All that one item did."""

    item: ItemRow
    lanes: tuple[Lane, ...]
    cards: tuple[Card, ...]
    evidence: tuple[Evidence, ...]
    changes: tuple[str, ...] = ()
    """What became different while it waited: definition, rules, grants, labels, credentials."""

    @property
    def spent(self) -> Spent:
        """What it cost so far."""
        return spent(rows_of(self.lanes))

    def as_json(self) -> Json:
        """For `--json` outputs."""
        item = self.item
        return {
            "item": item.item,
            "run": item.run,
            "loop": item.loop,
            "title": item.finding.title,
            "status": item.status,
            "round": item.round,
            "life": item.life,
            "flow_run": item.flow_run,
            "found_at": stamp(item.found_at),
            "closed_at": stamp(item.closed_at),
            "awake_s": item.awake_ms / 1000,
            "stop": asdict(item.stop) if item.stop else None,
            "waits": waits_json(item),
            "outcome": item.outcome,
            **self.spent.as_json(),
            "lanes": [lane.as_json() for lane in self.lanes],
            "cards": [card_json(c, item.finding.title) for c in self.cards],
            "evidence": [asdict(e) for e in self.evidence],
            "changes": list(self.changes),
        }


def lanes_of(entries: Iterable[Entry], rows: Iterable[LedgerRow]) -> tuple[Lane, ...]:
    """The lanes of one owner in the order they began, delegates below those who called them.

    Left out: journal rows that mark a step as complete, a path as taken, or hold a note.
    """
    tries: dict[str, list[LedgerRow]] = {}
    begun: dict[tuple[int, str], int] = {}
    for n, row in enumerate(sorted(rows, key=lambda r: (r.started_at, r.attempt))):
        tries.setdefault(row.key, []).append(row)
        begun.setdefault((row.place.round, row.place.lane), n)
    lanes: dict[tuple[int, str], Lane] = {}
    for entry in entries:
        if entry.kind in ("step", "marker", "note"):
            continue
        where = (entry.place.round, entry.place.lane)
        lane = lanes.setdefault(where, Lane(entry.place.lane, entry.place.round))
        lane.effects.append(Effect(entry, tuple(tries.get(entry.key, ()))))
    last = len(begun)
    ordered = sorted(lanes, key=lambda at: (at[0], begun.get(at, last)))
    return _nested([lanes[at] for at in ordered])


def changes_in(entries: Iterable[Entry]) -> tuple[str, ...]:
    """What became different while the item waited, the first wait first."""
    notes = sorted((e for e in entries if e.kind == "note"), key=lambda e: e.place.step)
    return tuple(str(c) for e in notes if e.result for c in e.result["changes"])


def rows_of(lanes: Iterable[Lane]) -> list[LedgerRow]:
    """All tries below these lanes."""
    found: list[LedgerRow] = []
    for lane in lanes:
        found += [row for effect in lane.effects for row in effect.tries]
        found += rows_of(lane.lanes)
    return found


def spent_in(lanes: Iterable[Lane], items: Iterable[ItemTrace]) -> Spent:
    """What a run cost so far: these lanes of its own, and its items."""
    return spent([*rows_of(lanes), *(row for item in items for row in rows_of(item.lanes))])


def _nested(lanes: list[Lane]) -> tuple[Lane, ...]:
    top: list[Lane] = []
    for lane in lanes:
        callers = [
            other
            for other in lanes
            if other.round == lane.round and lane.name.startswith(f"{other.name}-")
        ]
        caller = max(callers, key=lambda other: len(other.name), default=None)
        (caller.lanes if caller else top).append(lane)
    return tuple(top)


def _try_json(row: LedgerRow) -> Json:
    return {
        "try": row.attempt,
        "status": row.status,
        "agent": row.principal.agent,
        "role": row.principal.role,
        "started_at": stamp(row.started_at),
        "ended_at": stamp(row.ended_at),
        "seconds": seconds(row),
        "usage": asdict(row.usage),
        "cost_usd": exact(row.cost) if row.cost is not None else None,
        "cost_status": row.cost_status,
        "model": row.response_model,
        "error": row.error,
        "error_message": row.attributes.get("error.message"),
        "span": row.span,
        "parent_span": row.parent_span,
        "trace": row.trace,
    }


def seconds(row: LedgerRow) -> float | None:
    """How long a try took; None while it is under way."""
    return None if row.ended_at is None else (row.ended_at - row.started_at) / 1000
