"""What may fire a loop beside its schedule, and under which name is it known?

Whatever brings a delivery (REST, an event, a webhook, the SDK), the delivery's id names its slot, so the same delivery
is one run. Its payload is text from outside: data, never an instruction.
"""

import re

DELIVERY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""How a delivery id is spelled: letters, digits, `.`, `_`, `:` and `-`, at most 128."""

MAX_PAYLOAD = 65_536
"""Bytes of a payload, in UTF-8; a longer one is refused where it comes in."""


def wrong_delivery(delivery: str, payload: str | None) -> str | None:
    """What is wrong with a delivery, in one sentence; None when nothing is."""
    if not DELIVERY.fullmatch(delivery):
        return (
            f"delivery id {delivery[:130]!r} is not 1 to 128 letters, digits, '.', '_', ':' or '-', "
            "beginning with a letter or digit"
        )
    size = len((payload or "").encode(errors="surrogatepass"))
    if size > MAX_PAYLOAD:
        return (
            f"the payload has {size:,} of {MAX_PAYLOAD:,} bytes at most; send a reference instead"
        )
    return None


def delivery_slot(delivery: str) -> str:
    """The slot a delivery stands for."""
    return f"delivery-{delivery}"


def firing_key(loop: str, slot: str) -> str:
    """What makes Prefect create one flow run for one slot; its keys are unique per flow, so the loop is in it."""
    return f"{loop}-{slot}"
