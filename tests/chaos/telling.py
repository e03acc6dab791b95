"""A story told to its end, whatever is killed meanwhile: recovered as recovery would, answered as a person would."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException

from governance.memory import Store
from governance.parts import Json
from governance.records import Card, ItemRow, RunRow
from tasks.world import now_ms
from tests.chaos.lives import Life, Lives
from tests.chaos.stories import Story
from tests.chaos.town import Town
from tests.chaos.truth import Ending, Truth, ending_of

FINAL = ("done", "stopped")
MOST_LIVES = 120

Fate = Callable[[int, str], str | None]
"""From a life's number in its story and its flow's name to its doom: a passage of a point, `@<seconds>`, or None."""


def unharmed(number: int, flow: str) -> str | None:
    """Nobody is killed."""
    return None


@dataclass
class Telling:
    """One story under way."""

    town: Town
    lives: Lives
    story: Story
    name: str
    fate: Fate = unharmed
    truth: Truth = field(init=False)
    told: list[Life] = field(default_factory=list[Life])
    by_form: bool = True
    """Whether a person answers in Prefect's form, or in the store, as `loops approve` does."""
    forced: bool = True
    """Whether what died is rescheduled by force, as the automation does, or as the UI's Retry does it."""
    faults: tuple[Json, ...] = ()
    """What goes wrong at the provider, from the firing on."""
    machine: dict[str, str] = field(default_factory=dict[str, str])
    """What the environment of later lives says otherwise, as on another machine."""
    slot: str = ""
    heartbeat: str = ""
    unsent: list[str] = field(default_factory=list[str])
    """What the last housekeeping found to be sent."""
    stranded: list[str] = field(default_factory=list[str])
    """Final states of flow runs whose item was still open."""
    vouched: int = 0
    """How often a person found that an effect in doubt did happen."""

    @property
    def store(self) -> Store:
        """The store of this story."""
        return self.town.store

    @property
    def kills(self) -> int:
        """Lives that were killed so far."""
        return sum(life.killed for life in self.told)

    async def begin(self) -> None:
        """A store of its own, a red forge where that matters, and the firing."""
        if self.story.merges:
            self.town.red_again()
        await self.town.begin(self.name, self.story.loop, **self.story.changes)
        self.truth = Truth(self.town, self.town.home / self.name / "store.db")
        self.town.faults(*self.faults)
        self.slot = self.slot or self.town.slot()
        self.heartbeat = await self.town.fire(self.story.loop, self.slot)

    async def to_the_end(self) -> Ending:
        """All lives until nothing is left to do; how it ended. Checks the money at every moment meanwhile."""
        await self.begin()
        watching = asyncio.create_task(self.truth.watch())
        try:
            await self.go_on()
        finally:
            watching.cancel()
        return await self.ending()

    async def ending(self) -> Ending:
        """How it ended. Raises `AssertionError` when the far side tells otherwise than the ledger."""
        self.truth.check()
        await self.truth.check_effects(self.store)
        return await ending_of(self.town, self.store, await self.run(), self.truth)

    async def to_the_card(self) -> ItemRow:
        """All lives until the one item waits for a person, who does not answer; the item."""
        await self.begin()
        await self.go_on(until_waiting=True)
        (item,) = await self._open()
        return item

    async def go_on(self, *, until_waiting: bool = False) -> None:
        """Lives, one after the other, until the run is closed and nothing is left to be sent."""
        while not await self._over():
            if until_waiting and await self._waiting():
                return
            await self.step()

    async def step(self) -> None:
        """What is to be done next: the heartbeat, what is due to be sent, or one life of each open item."""
        assert len(self.told) < MOST_LIVES, [(x.flow, x.doom) for x in self.told]
        if not (await self.town.state_of(self.heartbeat)).is_final():
            await self.live("heartbeat", self.heartbeat)
        elif (due := [o.key for o in await self.store.outbox()]) and due != self.unsent:
            await self.live("housekeeping", None)
            # What cannot be sent yet waits for the item, not the item for it.
            self.unsent = due if not self.told[-1].killed else []
        else:
            self.unsent = []
            items = await self._open()
            assert items, f"{self.name}: nothing is left to be done, and it is not over"
            for item in items:
                await self._help(item)

    async def live(self, flow: str, flow_run: str | None) -> Life:
        """One life to its end, by itself or by its doom; what an older one left behind is recovered first."""
        if flow_run:
            await self.recover(flow_run)
        life = await self.start(flow, flow_run)
        await asyncio.wait_for(asyncio.shield(life.ended), 300)
        return life

    async def start(self, flow: str, flow_run: str | None) -> Life:
        """A life that goes on by itself."""
        doom = self.fate(len(self.told), flow)
        environment = {**self.town.life_environment(), **self.machine}
        life = await self.lives.start(flow, flow_run, environment, doom)
        self.told.append(life)
        if life.doom and life.doom.startswith("@"):
            asyncio.get_running_loop().call_later(float(life.doom[1:]), life.kill)
        return life

    async def recover(self, flow_run: str) -> None:
        """Put a run whose process is gone back on the schedule: one that runs by its state, or waits for no form."""
        state = await self.town.state_of(flow_run)
        if not state.is_scheduled() and not await self._waits(flow_run, state):
            await self.town.revive(flow_run, force=self.forced)

    async def _waits(self, flow_run: str, state: State[Any]) -> bool:
        return state.is_paused() and self.town.api.form(flow_run) is not None

    async def _help(self, item: ItemRow) -> None:
        assert item.flow_run is not None, item
        state = await self.town.state_of(item.flow_run)
        if state.is_final():
            # Its process ended and left the item open: what recovery finds, and takes up again.
            self.stranded.append(f"{state.name}: {state.message}")
        if await self._waits(item.flow_run, state) and await self._answered(item):
            return
        await self.live("work", item.flow_run)

    async def approve(self, item: ItemRow) -> None:
        """A person says yes to all that waits, in Prefect's form."""
        cards = await self.store.cards(item=item.item)
        form = {f"card_{c.card}": "approve" for c in cards if c.posted_n == item.posted_n}
        told = {**form, "approver": "noor", "reason": "seen"}
        answer = self.town.api.resume(str(item.flow_run), told)
        assert answer["status"] == "ACCEPT", (self.name, answer)

    async def _answered(self, item: ItemRow) -> bool:
        """A person looks at what waits; True when housekeeping has to wake the run now."""
        cards = await self.store.cards(item=item.item)
        assert cards, f"{self.name}: {item.item} waits for nobody"
        for card in cards:
            if card.kind == "in_doubt":
                await self.say_of_doubt(card)
            elif not self.by_form:
                await self.store.answer(
                    card.card, answer="approve", by="noor", reason="seen", now=now_ms()
                )
        if await self.store.outbox():
            return True
        await self.approve(item)
        return False

    async def say_of_doubt(self, card: Card) -> None:
        """They look at the far side first, and never before the lost try can be on its way no more."""
        happened = any(c["key"] == card.key for c in self.truth.effects())
        self.vouched += happened
        later = max(now_ms(), (card.not_before or 0) + 1)
        await self.store.answer(
            card.card, answer="happened" if happened else "not-happened", by="noor",
            reason="I looked", now=later,
        )  # fmt: skip

    async def run(self) -> RunRow:
        """The one run of this story."""
        (run,) = await self.store.runs(loop=self.story.loop)
        return run

    async def _open(self) -> list[ItemRow]:
        return [i for i in await self.store.items(loop=self.story.loop) if i.status not in FINAL]

    async def _waiting(self) -> bool:
        items = await self._open()
        runs = [i.flow_run for i in items if i.status == "waiting" and i.flow_run]
        return bool(items) and all(
            [(await self.town.state_of(r)).is_paused() for r in runs] or [False]
        )

    async def _over(self) -> bool:
        runs = await self.store.runs(loop=self.story.loop)
        if not runs or await self._open() or await self.store.outbox():
            return False
        return (await self.town.state_of(self.heartbeat)).is_final()


async def patiently(telling: Telling) -> Ending:
    """The story to its end, by people who try again when Prefect does not answer them."""
    await telling.begin()
    watching = asyncio.create_task(telling.truth.watch())
    try:
        while not await _went_on(telling):
            await asyncio.sleep(1)
    finally:
        watching.cancel()
    return await telling.ending()


async def _went_on(telling: Telling) -> bool:
    try:
        await telling.go_on()
    except (httpx.HTTPError, PrefectException, OSError):
        return False
    return True
