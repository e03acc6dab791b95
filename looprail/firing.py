"""What is asked of Prefect so that a delivery is one run?"""

from dataclasses import dataclass
from uuid import uuid4

from governance.errors import Rejected
from governance.firing import delivery_slot, firing_key, wrong_delivery
from governance.parts import canonical


@dataclass(frozen=True)
class Triggered:
    """A heartbeat that Prefect has taken up."""

    loop: str
    delivery: str
    flow_run: str
    name: str


def trigger(loop: str, *, delivery: str | None = None, payload: object = None) -> Triggered:
    """Fire a loop through Prefect's API (`PREFECT_API_URL`); the same delivery again finds the first one's run.

    Args:
        loop: The loop's name; it must be deployed.
        delivery: What makes it one run however often it is sent; without one each call is its own.
        payload: Any JSON value, at most 64 KiB; the loop's lead reads it as data from outside.

    Raises:
        Rejected: The delivery id or the payload cannot be taken, or the loop is not deployed.
        prefect.exceptions.PrefectException, httpx.HTTPError: Prefect does not answer; calling again is safe.
    """
    named = uuid4().hex if delivery is None else delivery
    try:
        text = None if payload is None else canonical(payload)
    except (TypeError, ValueError) as error:
        raise Rejected(f"trigger of {loop!r}", f"the payload is no JSON value: {error}") from error
    if wrong := wrong_delivery(named, text):
        raise Rejected(f"trigger of {loop!r}", f"{wrong}")
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            deployment = client.read_deployment_by_name(f"heartbeat/{loop}")
        except ObjectNotFound:
            raise Rejected(
                f"trigger of {loop!r}", "it is not deployed: `loops render`, `prefect deploy --all`"
            ) from None
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"loop": loop, "delivery": named, "payload": text},
            idempotency_key=firing_key(loop, delivery_slot(named)),
        )
    return Triggered(loop, named, str(run.id), run.name)
