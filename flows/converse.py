"""How does one agent get through one brief?"""

from governance.conversation import ToolResult
from governance.effects import Stop
from governance.raises import CAPPED
from tasks.act import act, join
from tasks.lane import Lane, Said
from tasks.model import call_model
from tasks.step import Waiting


async def converse(lane: Lane) -> Said | Waiting | Stop:
    """Ask the model, do what it wants done, and again, until it has said its last word or must stop."""
    while True:
        reply = await call_model(lane)
        if isinstance(reply, Stop | Waiting):
            return reply
        if stop := lane.stop:
            return stop
        if lane.paused:
            lane.go_on()
            continue
        if not reply.calls:
            return Said(reply.text, reply)
        outcome = await settle(lane)
        if outcome is not None:
            return outcome


async def settle(lane: Lane) -> Waiting | Stop | None:
    """Hand what is delegated to child lanes, side by side, then make the calls; None when all is in.

    A cap stops the whole item: what a delegate has done so far is kept, not answered for.
    """
    children = lane.children()
    ended = await join(converse(child) for child in children.values())
    if stop := next((e for e in ended if isinstance(e, Stop) and e.reason in CAPPED), None):
        return stop
    for ordinal, outcome in zip(children, ended, strict=True):
        lane.delegated[ordinal] = delegated(outcome)
    return await act(lane)


def delegated(outcome: Said | Waiting | Stop) -> ToolResult | None:
    """What a delegate's conversation answers its lead; None while it waits."""
    match outcome:
        case Said(text):
            return ToolResult(text)
        case Stop(reason, detail):
            return ToolResult(f"stopped ({reason}): {detail}", is_error=True)
        case Waiting():
            return None
