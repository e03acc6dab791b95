"""How is the one memory kept in an SQL database?

Every method hands one piece of work to the writer or the reader thread and waits until it is durable; the work is
in the modules beside this one. Large values are put away before the transaction and fetched after it.
"""

from collections.abc import Sequence

from drivers.store import (
    effects,
    lives,
    people,
    rows,
    settling,
)
from drivers.store.bodies import Bodies, Body
from drivers.store.database import Database
from drivers.store.items import Taken, claim, journal_of
from drivers.store.journal import Asked, Done, Result
from drivers.store.sql import Row
from drivers.store.transactions import Transactions
from governance.answers import Answer, vouched
from governance.effects import (
    Admission,
    Evidence,
    InDoubt,
    Intent,
    Kind,
    Place,
    Recorded,
    Refused,
    Settlement,
)
from governance.parts import Json
from governance.ports import Blobs
from governance.records import Card, Claimed, Entry


class SqlStore(Transactions):
    """`governance.memory.Store` in an SQL database; one instance serves every thread and event loop of a process."""

    def __init__(self, database: Database, blobs: Blobs) -> None:
        super().__init__(database)
        self._bodies = Bodies(blobs)

    async def claim(
        self, item: str, *, flow_run: str, now: int, lease: int, max_lives: int,
        process: Json | None = None,
    ) -> Claimed | Refused:  # fmt: skip
        """T3: take the fence. Refused when the item is final, another flow run's, or out of lives."""
        taken = await self.write(
            lambda sql: claim(
                sql, item, flow_run=flow_run, now=now, lease=lease, max_lives=max_lives, process=process,
            ), "claim",
        )  # fmt: skip
        return taken if isinstance(taken, Refused) else await self._claimed(taken)

    async def begin_anew(
        self, item: str, round: int, *, card: str, fence: int, now: int
    ) -> Claimed | InDoubt | Refused:
        """The round and those after it begin anew under numbers never used, as `card` was answered."""
        taken = await self.write(
            lambda sql: lives.begin_anew(sql, item, round, card=card, fence=fence, now=now),
            "begin-anew",
        )
        return await self._claimed(taken) if isinstance(taken, Taken) else taken

    async def entries(self, owner: str) -> tuple[Entry, ...]:
        """The whole journal of an item or of a heartbeat, in order of place."""
        return await self._entries(await self.read(lambda sql: journal_of(sql, owner)))

    async def intend(self, intent: Intent) -> Admission:
        """T4: all checks and all holds, or a refusal value; the ledger row is open when it returns Admitted."""
        args = await self._bodies.put(intent.args)
        admission = await self.write(lambda sql: effects.intend(sql, intent, args), "intend")
        if isinstance(admission, Done):
            return await rows.recorded(self._bodies, admission)
        return admission

    async def done(self, place: Place, attempt: int, settlement: Settlement) -> Recorded:
        """T5: settle; the first `done` is the result, a later one is kept as `late` and gets the first's."""
        body = await self._bodies.put(settlement.result)
        done = await self.write(
            lambda sql: settling.done(sql, place, attempt, settlement, body), "done"
        )
        return await rows.recorded(self._bodies, done)

    async def record(
        self, place: Place, *, kind: Kind, name: str, head: str, head_after: str, args: Json,
        result: Json, labels: tuple[str, ...], fence: int, now: int,
        evidence: tuple[Evidence, ...] = (),
    ) -> Recorded:  # fmt: skip
        """A journal row with no effect outside (a `step`, a refusal, a verdict); the first wins."""
        asked = Asked(place, kind, name, head, await self._bodies.put(args))
        kept = Result(await self._bodies.put(result), head_after, labels, evidence=evidence)
        done = await self.write(
            lambda sql: settling.record(sql, asked, kept, fence=fence, now=now), "record"
        )
        return await rows.recorded(self._bodies, done)

    async def ask(self, card: Card, *, notice: Json, fence: int) -> Card:
        """T7: the card, or the open or unused one for the same action; the item waits; one notice."""
        diff = await self._bodies.put(card.diff) if card.diff is not None else None
        facts = await self._bodies.put(card.facts) if card.facts is not None else None
        question = people.Question(card, await self._bodies.put(card.arguments), diff, facts)
        row = await self.write(lambda sql: people.ask(sql, question, notice, fence=fence), "ask")
        return await rows.card(self._bodies, row)

    async def answer(
        self, card: str, *, answer: Answer, by: str, reason: str, now: int, result: str = ""
    ) -> Card:
        """T8: the first answer wins and is audited; a later one gets the first. Wakes the item by outbox."""
        gave = await self._vouched(card, by, reason, result) if answer == "happened" else None
        row = await self.write(
            lambda sql: people.answer(
                sql, card, answer=answer, by=by, reason=reason, now=now, result=gave
            ),
            "answer",
        )
        return await rows.card(self._bodies, row)

    async def _vouched(self, card: str, by: str, reason: str, given: str) -> Body | None:
        """What an effect counts as having given, put away before the transaction that says so."""
        asked = await self.card(card)
        if asked is None:
            return None
        probe = (asked.facts or {}).get("probe", {})
        told = vouched(
            asked.tool, by=by, reason=reason, given=given, found=tuple(probe.get("found", ())),
            asked=str(probe.get("tool", "the far side")),
        )  # fmt: skip
        return await self._bodies.put(vars(told))

    async def learned(self, card: str, facts: Json, *, fence: int) -> Card:
        """What else is known about what a card asks; the first word stays."""
        body = await self._bodies.put(facts)
        row = await self.write(lambda sql: people.learned(sql, card, body, fence=fence), "learned")
        return await rows.card(self._bodies, row)

    async def cards(self, *, item: str | None = None, open_only: bool = True) -> tuple[Card, ...]:
        """Cards, oldest first; open ones are those that wait for a person and whose item has not ended."""
        found = await self.read(lambda sql: people.cards(sql, item=item, open_only=open_only))
        return tuple([await rows.card(self._bodies, row) for row in found])

    async def card(self, card: str) -> Card | None:
        """One card."""
        row = await self.read(lambda sql: people.find_card(sql, card))
        return None if row is None else await rows.card(self._bodies, row)

    async def _claimed(self, taken: Taken) -> Claimed:
        return Claimed(taken.item, await self._entries(taken.journal))

    async def _entries(self, journal: Sequence[Row]) -> tuple[Entry, ...]:
        return tuple([await rows.entry(self._bodies, row) for row in journal])
