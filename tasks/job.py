"""What do the tasks of one process share about the work in hand?

A job is one life of one item, or one heartbeat. It is found through a context variable, because task inputs must
stay small: a conversation is never a task's input, so the cost of a step does not grow with what was said before.
"""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from governance.conversation import EMPTY_HEAD, ToolSpec
from governance.effects import (
    InDoubt,
    Intent,
    Kind,
    Place,
    Principal,
    Recorded,
    Refused,
    Stop,
)  # fmt: skip
from governance.errors import Diverged, TakenOver
from governance.parts import Json, canonical
from governance.raises import MINUTE
from governance.records import Budget, Claimed, Entry, ItemRow
from governance.rounds import Restarts, number_of, round_of
from governance.seats import Pinned
from tasks.patience import Patience
from tasks.step import Came, Step, Waiting
from tasks.wayout import of_connector, of_repository
from tasks.world import Mirror, World, now_ms

if TYPE_CHECKING:
    from tasks.desk import Desk

SEND_WITHIN_MS = 60_000
"""An admitted effect whose first byte is later than this is not sent: its fence may be stale."""
LEASE_MARGIN_MS = 120_000

MADE_BEFORE = "made-before"
"""The label of a result that was taken over from a round that was given up."""

BESIDE = ("marker", "note")
"""Kinds of the journal that are no part of the sequence of effects."""

PROBES = "probe-"
"""How the lanes begin in which a far side is asked about a call in doubt; they are no part of it either."""


@dataclass
class Job:
    """One life of an item (`item` is set) or one heartbeat (`item` is None)."""

    world: World
    pinned: Pinned
    run: str
    owner: str
    fence: int = 0
    item: ItemRow | None = None
    definition: str = ""
    """Digest of what a heartbeat pins for the items it finds."""
    payload: str | None = None
    """What the delivery that fired a heartbeat carried."""
    asking: dict[str, object] = field(default_factory=dict)
    """What tasks under way work on, by step key."""
    came: dict[str, Came] = field(default_factory=dict[str, Came])
    """What came of a task that has just ended, by step key."""
    results: dict[str, Recorded] = field(default_factory=dict)
    """Everything done so far, by key: one SELECT when the life began, then kept up to date."""

    asked: dict[str, Json] = field(default_factory=dict[str, Json])
    """Arguments of what an earlier life was in the middle of, by key."""
    ahead: set[str] = field(default_factory=set[str])
    """Keys on record that this life has not come to yet: while there are any, it replays."""
    given_up: dict[tuple[str, str], list[Recorded]] = field(
        default_factory=dict[tuple[str, str], list[Recorded]]
    )
    """Calls made in rounds that were given up, by name and arguments; `made_before` takes them."""

    def __post_init__(self) -> None:
        self.loop = self.pinned.loop
        self.desk: Desk | None = None
        waited_ms = self.item.waited_ms if self.item else 0
        self.patience = Patience(self.wait_limit_ms - waited_ms if self.item else None)
        self.base = self.item.base or "" if self.item else ""
        self._tools: dict[str, tuple[ToolSpec, ...]] = {}
        self._held = ""

    async def tools(self, connector: str) -> tuple[ToolSpec, ...]:
        """What a connector offers, as it stood when this life first asked."""
        if connector not in self._tools:
            with of_connector(self.world.registry.organisation, connector):
                self._tools[connector] = await (await self.world.connector(connector)).tools()
        return self._tools[connector]

    async def repository(self) -> Mirror:
        """The mirror of the loop's repository and the author of our commits.

        It has the commit that the item started from, also on a machine that never saw it: asked for by what needs
        files only, so that a replay reaches for nothing. Raises as `GitRepository.hold`.
        """
        assert self.loop.workspace is not None
        name, ref = self.loop.workspace.repository, self.loop.workspace.ref
        with of_repository(self.world.registry.organisation, name):
            repository, author = await self.world.repository(name)
            if self.base and self.base != self._held:
                await repository.hold(self.base, ref)
                self._held = self.base
        return repository, author

    def remember(self, entries: tuple[Entry, ...]) -> None:
        """Take over what the journal has as done; what stands in a round that was given up counts no more."""
        kept = [e for e in entries if round_of(e.place.round, self.restarts) is not None]
        self.results = {
            e.key: Recorded(e.result, e.labels, e.tree, e.head_before, e.args, e.kind)
            for e in kept
            if e.status == "done" and e.result is not None
        }
        self.given_up = _given_up(e for e in entries if e not in kept)
        for again in (e for e in kept if MADE_BEFORE in e.labels):
            self.made_before(again.name, again.args)
        self.asked = {e.key: e.args for e in kept if e.status != "done"}
        beside = {e.key for e in kept if e.kind in BESIDE or e.place.lane.startswith(PROBES)}
        self.ahead = {e.key for e in kept} - beside

    def args_of(self, key: str) -> Json | None:
        """The arguments under which an effect is on record, done or not; None where it is not."""
        found = self.results.get(key)
        return found.args if found is not None else self.asked.get(key)

    def made_before(self, name: str, arguments: Json) -> Recorded | None:
        """The result of the same call in a round that was given up; each counts once."""
        same = self.given_up.get((name, canonical(arguments)))
        return same.pop(0) if same else None

    def go_on_as(self, claimed: Claimed) -> None:
        """Go on with the item as it stands now, and with its journal."""
        self.item = claimed.item
        self.remember(claimed.journal)

    @property
    def restarts(self) -> Restarts:
        """The rounds that people had begun anew."""
        return self.item.restarts if self.item else ()

    @property
    def turned_down(self) -> Stop | None:
        """The no of a person, or of a deadline, to something proposed here: what was wanted is not done."""
        for done in self.results.values():
            if "refused" not in done.labels:
                continue
            rule = str((done.result["structured"] or {}).get("refused", ""))
            if rule == "deadline" or rule.startswith("card "):
                reason = "expired" if rule == "deadline" else "rejected"
                return Stop(reason, str(done.result["text"]))
        return None

    @property
    def rounds(self) -> range:
        """The rounds a maker has for one item."""
        assert self.loop.goal is not None
        return range(1, self.loop.goal.max_rounds + 1)

    def place(self, round: int, lane: str, step: int, ordinal: int) -> Place:
        """A place in this job; a round that was begun anew goes by another number."""
        place = Place(self.run, self.owner, number_of(round, self.restarts), lane, step, ordinal)
        self.ahead.discard(place.key)
        return place

    def intent(
        self, place: Place, kind: Kind, name: str, *, by: Principal, rule: str, args: Json,
        repeatable: bool, timeout_s: float, head: str = EMPTY_HEAD, card: str | None = None,
        tool_digest: str | None = None,
        tree: str | None = None, needs: tuple[str, ...] = (), attributes: Mapping[str, object] | None = None,
    ) -> Intent:  # fmt: skip
        """What T4 judges, with this life's fence and moments."""
        now = now_ms()
        return Intent(
            place=place, kind=kind, name=name, principal=by, rule=rule, head=head, args=args,
            fence=self.fence, now=now, send_by=now + SEND_WITHIN_MS,
            lease=now + int(timeout_s * 1000) + LEASE_MARGIN_MS, repeatable=repeatable, card=card, tool_digest=tool_digest,
            tree=tree, needs=needs, awake_limit_ms=self.loop.harness.max_minutes * MINUTE,
            attributes=dict(attributes or {}),
        )  # fmt: skip

    @property
    def wait_limit_ms(self) -> int:
        """How long an item may wait for what comes by itself, in all."""
        return self.loop.harness.max_wait // timedelta(milliseconds=1)

    async def caps(self) -> tuple[Budget, ...]:
        """The caps of this item, or heartbeat, and of its run as they stand now."""
        limit = self.loop.harness.max_minutes * MINUTE
        return await self.world.store.caps(self.run, self.owner, awake_limit_ms=limit, now=now_ms())

    def took(self, step: Step, outcome: Recorded | Refused | InDoubt) -> Came:
        """What the edge's outcome means for the step; a result is remembered."""
        match outcome:
            case Refused():
                return self.patience.refused(outcome)
            case InDoubt(card):
                return Waiting(f"may have happened before; card {card}")
            case Recorded():
                self.results[step.key] = outcome
                return None

    def recorded(self, key: str, head: str) -> Recorded:
        """What is on record at `key`.

        Raises `Diverged` when it was asked after another conversation, `TakenOver` when a newer life put it there.
        """
        found = self.results.get(key)
        if found is None:
            raise TakenOver(
                f"step {key!r} was done by a life that followed this one; this process must end."
            )
        if found.head != head:
            raise Diverged(key, f"asked at head {found.head[:19]}", f"head {head[:19]}")
        return found


def _given_up(entries: Iterable[Entry]) -> dict[tuple[str, str], list[Recorded]]:
    found: dict[tuple[str, str], list[Recorded]] = {}
    for e in entries:
        if e.kind == "tool" and e.status == "done" and e.result and not e.result.get("is_error"):
            made = Recorded(e.result, e.labels, e.tree, e.head_before, e.args, e.kind)
            found.setdefault((e.name, canonical(e.args)), []).append(made)
    return found


_current: ContextVar[Job] = ContextVar("job")


def current() -> Job:
    """The job of this flow run."""
    return _current.get()


def enter(job: Job) -> None:
    """Make it the job of this flow run; a flow run's process has one."""
    _current.set(job)
