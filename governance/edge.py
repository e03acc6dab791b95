"""The one choke point: may this happen, what may it cost at most, and what did it come to?

Everything that reaches a model, a tool or a sandbox passes here: screen what goes out, reserve (T4), act, screen
what comes back, settle (T5 or T6). It acts only through the ports it is handed; between T4 and T5 is the only
place where the world is touched. A test proves that there is no other way.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from governance import settled
from governance.charges import Amounts
from governance.conversation import ModelRequest
from governance.effects import (
    FARTHEST_S,
    NOT_BEFORE,
    Admission,
    Admitted,
    Early,
    InDoubt,
    Intent,
    Recorded,
    Refused,
    Settlement,
    Stop,
)
from governance.errors import Damaged, DriverError, Unavailable, Unknown
from governance.guardrails import Screen
from governance.limits import own_charges
from governance.memory import Store
from governance.outgoing import Spoken
from governance.parts import Json
from governance.ports import Connector, Model
from governance.prices import Book, BoxTime, box_cost, frame_bound, price_per_call
from governance.waits import Wait

Outcome = Recorded | Refused | InDoubt

HELD_WAIT_MS = 30_000
"""How long a process waits for room that comes by itself; what takes longer is no wait of a process."""
HELD_POLL_S = 0.25
LONGEST_PAUSE_S = 60.0
"""How long a process waits for the moment that a far side names; what is later is no wait of a process."""
MESSAGE = 2_000
"""Characters of an error's text that the ledger keeps."""


@dataclass(frozen=True)
class Edge:
    """The choke point over one store.

    `now` is the clock; `screen` knows the secrets this process holds; `book` what things cost.
    """

    store: Store
    now: Callable[[], int]
    screen: Callable[[], Screen]
    spoken: Spoken = field(default_factory=Spoken)
    book: Book = field(default_factory=Book)

    async def model(
        self, port: Model, request: ModelRequest, intent: Intent, *, timeout_s: float
    ) -> Outcome:
        """One model call, worst case reserved before and actual usage settled after.

        Raises the driver's error after T6, so that the task may try again: `Unavailable` freed its holds,
        `Unknown` keeps them counted until reconciled. A next try waits here for the moment that the far side
        named with the last one.
        """
        screen, place = self.screen(), intent.place
        lane = f"{place.owner}-{place.round}-{place.lane}"
        try:
            going = self.spoken.then(lane, screen, request.messages)
        except ValueError as error:
            return Refused(Stop("malformed", str(error)))
        request = replace(request, system=screen.text(request.system), messages=going.messages)
        bound = going.bound + frame_bound(request)
        worst = self.book.worst_case(bound, request.max_tokens, request.model, intent.now)
        most = Amounts(worst, bound + request.max_tokens, steps=1, calls=1, concurrent=1)
        price = self.book.price_of(request.model, intent.now, bound)
        pinned = price.as_json() if price else {}
        intent = replace(intent, charges=own_charges(place, most), most=most, price=pinned)

        async def act(admitted: Intent) -> Settlement:
            raw = await port.reply(request, timeout_s=timeout_s)
            reply = replace(raw, content=tuple(self.screen().json(b) for b in raw.content))
            # By the prices it was reserved at: one that changes at midnight makes no call dearer than its hold.
            rated = self.book.rate(reply.usage, request.model, intent.now)
            return settled.of_model(admitted, reply, rated, self.now())

        return await self._through(intent, act)

    async def tool(
        self, port: Connector, tool: str, intent: Intent, *, labels: tuple[str, ...], timeout_s: float,
        max_bytes: int, price_usd: Decimal | None = None,
    ) -> Outcome:  # fmt: skip
        """One tool call at a connector, which costs `price_usd` whatever it answers; None when nobody declared that.

        Arguments that hold one of our secrets are refused, never sent.
        """
        if not self.screen().clean(intent.args):
            return Refused(
                Stop(
                    "denied",
                    f"the arguments of {intent.name!r} hold a secret of ours; nothing was sent",
                )
            )

        rated = price_per_call(price_usd)
        intent = settled.reserving(intent, rated, Amounts(calls=1, concurrent=1))

        async def act(admitted: Intent) -> Settlement:
            answer = await port.call(
                tool, intent.args, key=intent.place.key, timeout_s=timeout_s, max_bytes=max_bytes,
                in_time=lambda: self._in_time(admitted),
            )  # fmt: skip
            result = self.screen().json(vars(answer))
            return settled.of_tool(admitted, result, labels, rated, self.now())

        return await self._through(intent, act)

    async def local(
        self, intent: Intent, act: Callable[[], Awaitable[Settlement]], *, box: BoxTime | None = None
    ) -> Outcome:  # fmt: skip
        """One effect of ours in a sandbox or a repository: same admission, same ledger, same screening.

        A box costs what its size costs for as long as it takes, at most for as long as it may take.
        """
        contract, began = self.book.contract, intent.now
        if box is not None:
            intent = settled.reserving(
                intent, box_cost(contract, began, box, box.limit_ms), Amounts()
            )

        async def screened(_: Intent) -> Settlement:
            started = self.now()
            settlement = await act()
            if box is not None:
                rated = box_cost(contract, began, box, min(self.now() - started, box.limit_ms))
                settlement = settled.at(settlement, rated)
            return replace(settlement, result=self.screen().json(settlement.result))

        return await self._through(intent, screened)

    async def _through(
        self, intent: Intent, act: Callable[[Intent], Awaitable[Settlement]]
    ) -> Outcome:
        admission, intent = await self._admit(intent)
        if not isinstance(admission, Admitted):
            return admission
        try:
            self._in_time(intent)
            return await self._settle(intent, admission, await act(intent))
        except (Exception, asyncio.CancelledError) as error:
            # A bug of ours included: a try that nobody settles would hold its money until its lease. What ends the
            # process at once leaves no loop to settle on; the next life or the lease does.
            await asyncio.shield(self._fail(intent, admission, error))
            raise

    def _in_time(self, intent: Intent) -> None:
        """Raises `Unavailable` when its moment has passed. A port that has to connect first asks once more after it."""
        if self.now() > intent.send_by:
            raise Unavailable(intent.name, "not sent: the moment it had to be sent by has passed")

    async def _settle(self, intent: Intent, admitted: Admitted, settlement: Settlement) -> Recorded:
        """T5. A process that is told to end meanwhile ends after it: what was paid for is not thrown away."""
        settling = asyncio.ensure_future(
            self.store.done(intent.place, admitted.attempt, settlement)
        )
        try:
            return await asyncio.shield(settling)
        except asyncio.CancelledError:
            await asyncio.gather(settling, return_exceptions=True)
            raise

    async def _admit(self, intent: Intent) -> tuple[Outcome | Admitted, Intent]:
        """T4, and the intent as it was admitted.

        Waited for, a bounded time: room in a budget that comes by itself, and the moment that the far side named. Then
        it asks a last time, and hears whether the item may wait on without a process.
        """
        began = intent.now
        admission = await self._intend(intent)
        while pause_s := self._pause(admission, began):
            await asyncio.sleep(pause_s)
            intent = intent.later(self.now())
            began = intent.now if isinstance(admission, Early) else began
            admission = await self._intend(intent)
        if isinstance(admission, Refused) and admission.wait is not None:
            intent = replace(intent.later(self.now()), asks_last=True)
            admission = await self._intend(intent)
        if isinstance(admission, Early):
            left_s = (admission.until - self.now()) / 1000
            raise Unavailable(intent.name, "not asked: it wants to be left alone", left_s)
        return admission, intent

    async def _intend(self, intent: Intent) -> Admission:
        """T4. A process that is told to end meanwhile gives back what it was let in for: nothing was sent."""
        asking = asyncio.ensure_future(self.store.intend(intent))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            (let_in,) = await asyncio.gather(asking, return_exceptions=True)
            if isinstance(let_in, Admitted):
                unsent = Unavailable(intent.name, "not sent: the process was told to end")
                await self._fail(intent, let_in, unsent)
            raise

    def _pause(self, admission: Admission, began: int) -> float | None:
        """How many seconds until it is worth asking again; None when the answer is final."""
        match admission:
            case Early(until) if until <= self.now() + LONGEST_PAUSE_S * 1000:
                return max((until - self.now()) / 1000, 0.001)
            case Refused(wait=Wait() as wait) if self.now() < began + HELD_WAIT_MS:
                return HELD_POLL_S if wait.soon(began + HELD_WAIT_MS) else None
            case _:
                return None

    async def _fail(self, intent: Intent, admitted: Admitted, error: BaseException) -> None:
        """T6; a try that was settled already stays as it is."""
        now = self.now()
        status, code, detail = _fate(error)
        noted: Json = {"error.message": self.screen().text(detail)[:MESSAGE]}
        pause_s = error.retry_after_s if isinstance(error, DriverError) else None
        if pause_s is not None and pause_s <= FARTHEST_S:
            noted[NOT_BEFORE] = now + math.ceil(pause_s * 1000)
        await self.store.fail(
            intent.place, admitted.attempt, status=status, error=code, attributes=noted, now=now
        )


def _fate(error: BaseException) -> tuple[Literal["failed", "unknown"], str, str]:
    """What the error says of the try: its status, a stable word, and a sentence."""
    match error:
        case Unknown():
            return "unknown", error.code, str(error)
        case DriverError() | Damaged():
            # What an effect needs of the record (the files of a box, say) it reads before it touches anything.
            return "failed", error.code, str(error)
        case asyncio.CancelledError():
            return "unknown", "cancelled", "the process was told to end"
        case _:
            return "unknown", "unexpected", f"{type(error).__name__}: {error}"
