"""The one choke point: may this happen, what may it cost at most, and what did it come to?

Everything that reaches a model, a tool or a sandbox passes here: screen what goes out, reserve (T4), act, screen
what comes back, settle (T5 or T6). It acts only through the ports it is handed; between T4 and T5 is the only
place where the world is touched. A test proves that there is no other way.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal

from governance.conversation import ModelRequest, Reply, assistant, chain
from governance.effects import (
    Admission,
    Admitted,
    InDoubt,
    Intent,
    Recorded,
    Refused,
    Settlement,
    Stop,
)
from governance.errors import DriverError, Unavailable, Unknown
from governance.guardrails import Screen
from governance.limits import model_charges
from governance.memory import Store
from governance.outgoing import Spoken
from governance.ports import Connector, Model
from governance.prices import cost, frame_bound, price_of, worst_case

Outcome = Recorded | Refused | InDoubt

HELD_WAIT_MS = 30_000
"""How long a call waits for money that other calls only hold, before its refusal is final."""
HELD_POLL_S = 0.25


@dataclass(frozen=True)
class Edge:
    """The choke point over one store. `now` is the clock; `screen` knows the secrets this process holds."""

    store: Store
    now: Callable[[], int]
    screen: Callable[[], Screen]
    spoken: Spoken = field(default_factory=Spoken)

    async def model(
        self, port: Model, request: ModelRequest, intent: Intent, *, timeout_s: float, capped: bool
    ) -> Outcome:
        """One model call, worst case reserved before and actual usage settled after.

        Raises the driver's error after T6, so that the task may try again: `Unavailable` freed its holds,
        `Unknown` keeps them counted until reconciled.
        """
        screen, place = self.screen(), intent.place
        lane = f"{place.owner}-{place.round}-{place.lane}"
        try:
            going = self.spoken.then(lane, screen, request.messages)
        except ValueError as error:
            return Refused(Stop("malformed", str(error)))
        request = replace(request, system=screen.text(request.system), messages=going.messages)
        bound = going.bound + frame_bound(request)
        worst = worst_case(bound, request.max_tokens, request.model, intent.now)
        if worst is None and capped:
            return Refused(
                Stop("cost", f"model {request.model!r} has no price, and this loop has a cost cap")
            )
        charges = model_charges(intent.place, cost=worst or 0, tokens=bound + request.max_tokens)
        intent = replace(intent, charges=charges, reserved=worst or 0)

        async def act() -> Settlement:
            raw = await port.reply(request, timeout_s=timeout_s)
            reply = replace(raw, content=tuple(self.screen().json(b) for b in raw.content))
            return self._settle_model(intent, request, reply)

        return await self._through(intent, act)

    def _settle_model(self, intent: Intent, request: ModelRequest, reply: Reply) -> Settlement:
        now = self.now()
        price = price_of(request.model, now, reply.usage.input_tokens)
        paid = cost(reply.usage, request.model, now)
        return Settlement(
            now=now,
            result=reply.as_json(),
            cost=paid,
            cost_status="unpriced" if paid is None else "priced",
            price=price.as_json() if price else {},
            usage=reply.usage,
            charges=model_charges(intent.place, cost=paid or 0, tokens=reply.usage.total),
            head=chain(intent.head, (assistant(reply),)),
            response_model=reply.model,
            attributes={
                "gen_ai.response.id": reply.response_id,
                "gen_ai.response.finish_reasons": [reply.stop],
                "anthropic.request.id": reply.request_id,
            },
        )

    async def tool(
        self, port: Connector, tool: str, intent: Intent, *, labels: tuple[str, ...], timeout_s: float,
        max_bytes: int,
    ) -> Outcome:  # fmt: skip
        """One tool call at a connector. Arguments that hold one of our secrets are refused, never sent."""
        if not self.screen().clean(intent.args):
            return Refused(
                Stop(
                    "denied",
                    f"the arguments of {intent.name!r} hold a secret of ours; nothing was sent",
                )
            )

        async def act() -> Settlement:
            answer = await port.call(
                tool, intent.args, key=intent.place.key, timeout_s=timeout_s, max_bytes=max_bytes
            )
            return Settlement(
                now=self.now(),
                result=self.screen().json(vars(answer)),
                cost=0,
                cost_status="free",
                price={},
                head=intent.head,
                labels=labels,
                error="tool_error" if answer.is_error else None,
            )

        return await self._through(intent, act)

    async def local(self, intent: Intent, act: Callable[[], Awaitable[Settlement]]) -> Outcome:
        """One effect of ours in a sandbox or a repository: same admission, same ledger, same screening."""

        async def screened() -> Settlement:
            settlement = await act()
            return replace(settlement, result=self.screen().json(settlement.result))

        return await self._through(intent, screened)

    async def _through(self, intent: Intent, act: Callable[[], Awaitable[Settlement]]) -> Outcome:
        admission = await self._admit(intent)
        if not isinstance(admission, Admitted):
            return admission
        try:
            if self.now() > intent.send_by:
                raise Unavailable(
                    intent.name, "not sent: the moment it had to be sent by has passed"
                )
            settlement = await act()
        except DriverError as error:
            status = "unknown" if isinstance(error, Unknown) else "failed"
            await self._fail(intent, admission, status, error.code, str(error))
            raise
        except asyncio.CancelledError:
            await asyncio.shield(
                self._fail(intent, admission, "unknown", "cancelled", "the process was told to end")
            )
            raise
        return await self.store.done(intent.place, admission.attempt, settlement)

    async def _admit(self, intent: Intent) -> Admission:
        """T4; money that is only held by calls under way is waited for, a bounded time."""
        admission = await self.store.intend(intent)
        until = intent.now + HELD_WAIT_MS
        while isinstance(admission, Refused) and admission.held and self.now() < until:
            await asyncio.sleep(HELD_POLL_S)
            admission = await self.store.intend(replace(intent, now=self.now()))
        return admission

    async def _fail(
        self, intent: Intent, admitted: Admitted, status: Literal["failed", "unknown"], error: str,
        detail: str,
    ) -> None:  # fmt: skip
        await self.store.fail(
            intent.place,
            admitted.attempt,
            status=status,
            error=error,
            attributes={"error.message": self.screen().text(detail)},
            now=self.now(),
        )
